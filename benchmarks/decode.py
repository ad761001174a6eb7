"""Preprocessing beside a bare loop: python -m benchmarks.decode VIDEOS...

Measures, on the same videos in the same run and turn by turn,

* the bare loop: PyAV decode, resize, JPEG encode of the frames to store;
* the builder's work: the same plus timing, checks, examples.

Target: the builder's frames per second at least 85% of the bare loop's.
"""

import argparse
import functools
import io
import pathlib
import tempfile
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from benchmarks import clock, record
from data_preprocessing import cache
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError, Settings
from unloc_jax.annotations.records import Query, Segment, VideoAnnotation

RATE, SHORT_SIDE, QUALITY = 10.0, 256, 90


def bare(paths: Sequence[pathlib.Path]) -> int:
  """Decodes, resizes and encodes as little code as does it; counts frames."""
  count = 0
  step = Fraction(1, int(RATE))
  for path in paths:
    with av.open(str(path)) as container:
      stream = container.streams.video[0]
      stream.codec_context.thread_count = 1
      scaler = VideoReformatter()
      due = Fraction(0)
      for frame in container.decode(stream):
        shrink = min(1.0, SHORT_SIDE / min(frame.width, frame.height))
        time_s = Fraction(frame.pts or 0) * frame.time_base
        if time_s < due:
          continue
        size = (round(frame.width * shrink), round(frame.height * shrink))
        scaled = scaler.reformat(frame, *size, format="rgb24", threads=1)
        image = Image.fromarray(scaled.to_ndarray())
        image.save(io.BytesIO(), "JPEG", quality=QUALITY)
        due += step
        count += 1
  return count


def built(paths: Sequence[pathlib.Path]) -> int:
  """Makes the examples of the same videos; counts frames."""
  query, whole = Query("0", "all of it"), Segment(0.0, 1e9, 0)
  settings = Settings(
    "custom", frame_rate=RATE, short_side=SHORT_SIDE, jpeg_quality=QUALITY
  )
  count = 0
  with tempfile.TemporaryDirectory() as folder:
    for path in paths:
      note = VideoAnnotation(path.name, "train", None, (query,), (whole,))
      job = VideoJob(note, str(path), path.name, path.stat().st_size)
      made = cache.make(job, settings, folder)
      if isinstance(made, BuildError):
        raise made
      count += made.frames
  return count


def main() -> None:
  """Runs the benchmark and prints a table."""
  flags = argparse.ArgumentParser(description="Preprocessing's throughput.")
  flags.add_argument("videos", nargs="+", type=pathlib.Path)
  flags.add_argument("--repeats", type=int, default=3)
  args = flags.parse_args()
  works = [functools.partial(work, args.videos) for work in (bare, built)]
  found = [[clock.speed(work) for work in works] for _ in range(args.repeats)]
  middle = np.median(found, axis=0)
  rows = [
    (name, *(f"{each:.0f}" for each in speeds))
    for name, speeds in zip(("bare", "built"), middle, strict=True)
  ]
  print(record.markdown(("what", "frames/s", "frames/CPU s"), rows))
  wall, cpu = middle[1] / middle[0]
  print(f"built / bare: {wall:.0%} by the clock, {cpu:.0%} by CPU time")


if __name__ == "__main__":
  main()
