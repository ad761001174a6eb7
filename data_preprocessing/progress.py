"""Shows how far a build is, how fast, and when it will be done."""

import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO

from data_preprocessing import shard
from data_preprocessing.jobs import ShardJob

_LIVE_SECONDS = 1.0
_PLAIN_SECONDS = 15.0


class Progress:
  """Prints a line while shards grow, from what their logs say.

  Used with `with`. It reads the shared folder and asks no worker, so it serves
  every runner.
  """

  def __init__(self, jobs: Sequence[ShardJob], out: TextIO | None = None):
    self._open = list(jobs)
    self._out = out or sys.stderr
    self._live = self._out.isatty()
    self._total = sum(len(job.videos) for job in jobs)
    self._bytes = sum(v.size for job in jobs for v in job.videos)
    self._closed = [0, 0, 0]
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._started = time.monotonic()
    self._at_start = self._counts()

  def __enter__(self) -> "Progress":
    self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    self._stop.set()
    self._thread.join()
    self._print(self.line())
    if self._live:
      self._out.write("\n")

  def _run(self) -> None:
    every = _LIVE_SECONDS if self._live else _PLAIN_SECONDS
    while not self._stop.wait(every):
      self._print(self.line())

  def _print(self, line: str) -> None:
    self._out.write(f"\r{line:<78}" if self._live else line + "\n")
    self._out.flush()

  def _counts(self) -> tuple[int, int, int]:
    """Returns the videos through, their bytes, and those left out."""
    total = list(self._closed)
    still_open = []
    for job in self._open:
      log = shard.read_log(job)
      part = (
        len(log.outcomes),
        sum(o.size for o in log.outcomes),
        sum(bool(o.reason) for o in log.outcomes),
      )
      total = [a + b for a, b in zip(total, part, strict=True)]
      if log.done:
        self._closed = [a + b for a, b in zip(self._closed, part, strict=True)]
      else:
        still_open.append(job)
    self._open = still_open
    return total[0], total[1], total[2]

  def line(self) -> str:
    """Returns e.g. `123/400 videos, 31 %, 4.1 videos/s, ETA 1:05, ...`."""
    videos, size, out = self._counts()
    seconds = max(time.monotonic() - self._started, 1e-6)
    rate = (videos - self._at_start[0]) / seconds
    share = size / self._bytes if self._bytes else 1.0
    moved = size - self._at_start[1]
    eta = "--"
    if moved > 0:
      # Bytes foretell decoding time better than the number of videos does.
      eta = _clock((self._bytes - size) * seconds / moved)
    return (
      f"{videos}/{self._total} videos, {share:.0%}, {rate:.1f} videos/s,"
      f" ETA {eta}, {out} left out"
    )


def _clock(seconds: float) -> str:
  whole = round(seconds)
  hours, minutes = whole // 3600, whole // 60 % 60
  if hours:
    return f"{hours}:{minutes:02d}:{whole % 60:02d}"
  return f"{minutes}:{whole % 60:02d}"
