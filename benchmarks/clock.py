"""What a call takes: seconds by the clock, and of the processor."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")


def timed(run: Callable[[], Result]) -> tuple[Result, np.ndarray]:
  """Runs it; what it returns, and seconds [2]: clock, processor."""
  clocks = time.perf_counter, time.process_time
  began = [clock() for clock in clocks]
  result = run()
  return result, np.array([clock() for clock in clocks]) - began


def in_turns(runs: Iterable[Callable[[], object]], repeats: int) -> np.ndarray:
  """Seconds [run, repeat, 2] of calls that take turns."""
  every = [[timed(run)[1] for run in runs] for _ in range(repeats)]
  return np.swapaxes(every, 0, 1)


def speed(run: Callable[[], int]) -> np.ndarray:
  """Of a call that counts its work: how much a second, by both clocks [2]."""
  count, seconds = timed(run)
  return count / seconds
