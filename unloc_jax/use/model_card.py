"""README.md of an export: what the model is, expects and reaches."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from unloc_jax.use.exported import Export

_TASKS = {
  "temporal_localization": "finds where labelled actions begin and end",
  "action_segmentation": "names the action of every moment",
  "classification": "names what a whole video shows",
  "frame_tagging": "names what a frame shows",
}
_MOMENTS = "finds the moments of a video that a sentence describes"


def text(export: Export, params: Mapping[str, np.ndarray]) -> str:
  """The model card, Markdown."""
  config = export.config
  count = sum(value.size for value in params.values())
  sections = [
    f"# {config.task.replace('_', ' ').capitalize()} on "
    f"{export.source.dataset}",
    f"This model {_TASKS.get(config.task, _MOMENTS)}. It is an UnLoc of "
    f"{count:,} parameters ({config.model.fusion.kind} fusion), exported by "
    "unloc_jax.",
    f"## Use\n\n```python\n{_USAGE}```",
    "## Figures\n\n" + _figures(export.metrics),
    "## Videos it expects\n\n" + _table(_expected(export)),
  ]
  if export.labels:
    names = ", ".join(export.labels)
    sections.append(f"## Labels ({len(export.labels)})\n\n{names}")
  sections.append(
    "## Limits\n\nIt has learnt from the videos and texts of "
    f"{export.source.dataset} alone; scores are comparable within one "
    "question, and are no probabilities."
  )
  return "\n\n".join(sections) + "\n"


_USAGE = """\
from unloc_jax import Localizer
localizer = Localizer.from_export("THIS FOLDER")
video = localizer.encode_video("video.mp4")
for moment in localizer.localize(video, ["a person waves"], top_k=3):
  print(moment.start, moment.end, moment.score)
"""


def _expected(export: Export) -> dict[str, Any]:
  data, source = export.config.data, export.source
  return {
    "frames": f"{source.frame_rate:g} a second, short side "
    f"{source.short_side} pixels, JPEG quality {source.jpeg_quality}",
    "seen at a time": f"{data.num_frames} frames of {data.image_size} x "
    f"{data.image_size} pixels ({data.sampling})",
    "window": f"{export.window_seconds:g} s",
    "normalisation": source.normalisation,
    "features": source.tower_hash or "none: the model sees frames",
  }


def _table(rows: Mapping[str, Any]) -> str:
  lines = ["| | |", "|---|---|"]
  return "\n".join([*lines, *(f"| {k} | {v} |" for k, v in rows.items())])


def _figures(metrics: Mapping[str, Mapping[str, float]]) -> str:
  if not metrics:
    return "The run was not scored."
  lines = [
    f"| {split} | {name} | {value:.2f} |"
    for split, values in metrics.items()
    for name, value in values.items()
  ]
  head = ["What the run last scored.", "", "| split | metric | value |"]
  return "\n".join([*head, "|---|---|---|", *lines])
