"""Reads a video in a process of its own, with limits of time and memory.

A file from a stranger may make a decoder hang, or ask for all memory; here it
takes down nothing but this process.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import ml_collections
import numpy as np

from unloc_jax.data.manifest import Source

# No JAX here: the process starts in a moment.
from unloc_jax.media import reading

if TYPE_CHECKING:
  from unloc_jax.use.exported import Export

_MODULE = "unloc_jax.media.reader_process"
_GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class Limits:
  """What reading a video may take.

  Attributes:
    seconds: Of the clock, start of the process included.
    memory_gib: Address space beyond what Python's libraries take.
    video_seconds: Length of the video.
  """

  seconds: float = 30.0
  memory_gib: float = 2.0
  video_seconds: float = 3600.0


def read_clips(
  path: str, export: "Export", limits: Limits
) -> Iterator[reading.Clip]:
  """As `reading.read_clips`, within limits; windows wait on disk.

  Raises:
    ValueError: The video cannot be read within them; one line says why.
  """
  with tempfile.TemporaryDirectory(prefix="unloc_read_") as folder:
    job = {
      "path": path,
      "out": folder,
      "source": dataclasses.asdict(export.source),
      "data": json.loads(export.config.data.to_json()),
      "window_seconds": export.window_seconds,
      "memory": int(limits.memory_gib * _GIB),
      "video_seconds": limits.video_seconds,
    }
    name = pathlib.Path(path).name
    try:
      done = subprocess.run(
        [sys.executable, "-m", _MODULE],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=limits.seconds,
        check=False,
      )
    except subprocess.TimeoutExpired as error:
      raise ValueError(
        f"{name}: not read within {limits.seconds:g} s; cut it shorter or "
        "make it smaller"
      ) from error
    if done.returncode:
      lines = done.stdout.strip().splitlines()
      why = lines[-1] if lines else "its decoder ran out of memory or crashed"
      raise ValueError(why.replace(path, name))
    yield from _load(pathlib.Path(folder))


def _load(folder: pathlib.Path) -> Iterator[reading.Clip]:
  for path in sorted(folder.glob("*.npz")):
    with np.load(path, allow_pickle=False) as file:
      yield reading.Clip(
        inputs=file["inputs"],
        frame_mask=file["frame_mask"],
        start=float(file["start"]),
        duration=float(file["duration"]),
        frame_count=int(file["frame_count"]),
      )


def _limit_memory(more: int) -> None:
  """Caps the address space at `more` bytes beyond what is taken now."""
  try:
    import resource
  except ImportError:
    return  # Windows has no such limit; time is limited all the same.
  pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
  limit = pages * resource.getpagesize() + more
  resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
  """Reads the job from standard input; says what is wrong in a line."""
  job = json.load(sys.stdin)
  _limit_memory(job["memory"])

  def advance(seconds: float) -> None:
    if seconds > job["video_seconds"]:
      raise ValueError(
        f"{job['path']}: longer than {job['video_seconds']:g} s; cut it"
      )

  try:
    clips = reading.read_clips(
      job["path"],
      Source(**job["source"]),
      ml_collections.ConfigDict(job["data"]),
      job["window_seconds"],
      advance,
    )
    for number, clip in enumerate(clips):
      arrays: Any = {k: np.asarray(v) for k, v in vars(clip).items()}
      np.savez(f"{job['out']}/{number:06}.npz", **arrays)
  except (ValueError, OSError) as error:
    print(error)
    sys.exit(1)
  except MemoryError:
    print(f"{job['path']}: takes too much memory; make it smaller")
    sys.exit(1)


if __name__ == "__main__":
  main()
