"""What every submission can do."""

import abc
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from unloc_jax.data.splits import Split
from unloc_jax.metrics.report import Report
from unloc_jax.task.detections import Detections

Batch = Mapping[str, np.ndarray]


class Submission(abc.ABC):
  """Collects detections, scores them, writes them as the benchmark wants."""

  def __init__(self, split: Split):
    self.split = split

  @abc.abstractmethod
  def add(self, batch: Batch, found: Detections) -> None:
    """Takes the detections of one batch."""

  @abc.abstractmethod
  def score(self) -> Report:
    """The benchmark's figures."""

  @abc.abstractmethod
  def write(self, folder: pathlib.Path) -> None:
    """Writes predictions and ground truth in the official format."""


def caption_rows(batch: Batch) -> Iterator[tuple[int, int, int, int]]:
  """(row b, caption q, video index, query index) of all captions asked."""
  for b in np.flatnonzero(batch["example_mask"]):
    for q in np.flatnonzero(batch["query_mask"][b]):
      query = int(batch["query_offset"][b]) + int(q)
      yield int(b), int(q), int(batch["example_index"][b]), query


def video_rows(batch: Batch) -> Iterator[tuple[int, int]]:
  """(row b, video index) of all videos of a batch."""
  for b in np.flatnonzero(batch["example_mask"]):
    yield int(b), int(batch["example_index"][b])
