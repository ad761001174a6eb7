"""Detections of a split -> the benchmark's submission file and its score.

One class per family of `Task.metric`; all of them collect detections batch by
batch, score them with `unloc_jax.metrics` and write the official files.
"""

from unloc_jax.data.splits import Split
from unloc_jax.results.submissions.base import Submission
from unloc_jax.results.submissions.classes import Frames, Segments, Tags, Videos
from unloc_jax.results.submissions.moments import Highlights, Moments
from unloc_jax.task.tasks import get_task

__all__ = ["KINDS", "Submission", "make"]

KINDS: dict[str, type[Submission]] = {
  "recall": Moments,
  "qvhighlights": Highlights,
  "detection": Segments,
  "segmentation": Frames,
  "tagging": Tags,
  "classification": Videos,
}


def make(split: Split) -> Submission:
  """An empty submission of a split, for the task of its config."""
  return KINDS[get_task(split.config.task).metric](split)
