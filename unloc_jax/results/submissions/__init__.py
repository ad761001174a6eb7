"""Detections of a split -> the benchmark's submission file and its score.

One class per family of `Task.metric`; all of them collect detections batch by
batch, score them with `unloc_jax.metrics` and write the official files.
"""

from unloc_jax.data.pipeline import Split
from unloc_jax.results.submissions.base import Submission, caption_rows
from unloc_jax.results.submissions.classes import Frames, Segments, Tags, Videos
from unloc_jax.results.submissions.moments import Highlights, Moments
from unloc_jax.training.state import Parts

__all__ = ["KINDS", "Submission", "caption_rows", "make"]

KINDS: dict[str, type[Submission]] = {
  "recall": Moments,
  "qvhighlights": Highlights,
  "detection": Segments,
  "segmentation": Frames,
  "tagging": Tags,
  "classification": Videos,
}


def make(parts: Parts, split: Split) -> Submission:
  """An empty submission of a run's task for a split."""
  return KINDS[parts.task.metric](parts, split)
