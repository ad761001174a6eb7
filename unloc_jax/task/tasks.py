"""What a task is: values, not code. Every pipeline stage reads them.

Spec section "One path for every task".
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Task:
  """One way of asking videos and texts.

  Attributes:
    name: Value of `config.task`.
    texts: "captions" (each video brings its own) or "classes" (the same
      prompts for every video).
    train_pairing: "all" (captions of other videos are negatives) or "matched"
      (a caption only meets its own video). Class prompts meet every video.
    targets: "segments" (points in charge of a segment), "frames" (the class
      of each frame), "tags" (all classes true of a frame) or "video" (the
      class of the video).
    decode: "per_query" (soft-NMS per caption or class), "per_frame" (class
      logits of each frame) or "per_video" (class logits).
    metric: Family of `unloc_jax.metrics` that scores it.
  """

  name: str
  texts: str
  train_pairing: str
  targets: str
  decode: str
  metric: str

  @property
  def readout(self) -> str:
    """Which fused tokens the relevance head reads."""
    return "text" if self.targets == "video" else "points"

  @property
  def has_displacement(self) -> bool:
    return self.targets == "segments"


_MOMENTS = ("segments", "per_query")

TASKS = {
  name: Task(name, *values)
  for name, *values in (
    ("moment_retrieval", "captions", "all", *_MOMENTS, "recall"),
    ("matched_moment_retrieval", "captions", "matched", *_MOMENTS, "recall"),
    ("highlight_retrieval", "captions", "matched", *_MOMENTS, "qvhighlights"),
    ("temporal_localization", "classes", "all", *_MOMENTS, "detection"),
    (
      *("action_segmentation", "classes", "all"),
      *("frames", "per_frame", "segmentation"),
    ),
    # Pretrains both towers on single frames, as CLIP does on images.
    ("frame_tagging", "classes", "all", "tags", "per_frame", "tagging"),
    (
      *("classification", "classes", "all"),
      *("video", "per_video", "classification"),
    ),
  )
}


def get_task(name: str) -> Task:
  """The task of that name.

  Raises:
    ValueError: There is none.
  """
  if name not in TASKS:
    raise ValueError(f"task: {name!r} is not one of {', '.join(TASKS)}")
  return TASKS[name]
