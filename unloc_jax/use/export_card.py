"""README.md of an export: what the model is, expects and reaches."""

from collections.abc import Mapping
from typing import Any

from unloc_jax.use.exports import Export

_TASKS = {
  "temporal_localization": "finds where labelled actions begin and end",
  "action_segmentation": "names the action of every moment",
  "classification": "names what a whole video shows",
  "frame_tagging": "names what a frame shows",
}
_MOMENTS = "finds the moments of a video that a sentence describes"

_SEEN = """\
| frames | {source.frame_rate:g} a second, short side {source.short_side} \
pixels, JPEG quality {source.jpeg_quality} |
| seen at a time | {data.num_frames} frames of {data.image_size} x \
{data.image_size} pixels ({data.sampling}) |
| normalisation | {source.normalisation} |
| features | {features} |"""
_GIVEN = """\
| features | {source.frame_rate:g} a second, of {source.embedding_width} \
channels by extractor {features} |
| seen at a time | {data.num_frames} rows ({data.sampling}) |
| normalisation | {source.normalisation} |"""
_HEARD = """\
| sound | {source.frame_rate:g} rows a second, of {source.sound_width} \
channels by extractor {source.sound_hash} |
| heard at a time | {data.num_frames} rows ({data.sampling}) |"""

_USE = """\
video = localizer.encode_video("video.mp4")
for moment in localizer.localize(video, ["a person waves"], top_k=3):
  print(moment.start, moment.end, moment.score)"""
# Features that others made, [N, D_in]; of texts, too, [L, E].
_USE_FEATURES = """\
video = localizer.encode_features(features)
for answer in localizer.ask(video, ["a person waves"], 3{texts}):
  print(answer.moments)"""

_CARD = """\
# {title} on {source.dataset}

This model {does}. It is an UnLoc of {count:,} parameters ({fusion} fusion), \
exported by unloc_jax.

## Use

```python
from unloc_jax import Localizer
localizer = Localizer.from_export("THIS FOLDER")
{use}
```

## Figures

{figures}

## Videos it expects

| | |
|---|---|
{expected}
| window | {window_seconds:g} s |
{labels}
## Limits

It has learnt from the videos and texts of {source.dataset} alone; scores are \
comparable within one question, and are no probabilities.
"""


def text(export: Export, params: Mapping[str, Any]) -> str:
  """The model card, Markdown."""
  config, labels = export.config, ", ".join(export.labels)
  if labels:
    labels = f"\n## Labels ({len(export.labels)})\n\n{labels}\n"
  is_given = export.source.extract == "features"
  is_given &= not export.source.jpeg_quality  # Of no tower of ours.
  use, seen = (_USE_FEATURES, _GIVEN) if is_given else (_USE, _SEEN)
  texts = ", [text_features]" * bool(config.data.text_width)
  kinds = [seen] * (export.source.extract != "sound")
  kinds += [_HEARD] * bool(export.source.sound_width)
  expected = "\n".join(kinds).format(
    source=export.source,
    data=config.data,
    features=export.source.tower_hash or "none: the model sees frames",
  )
  return _CARD.format(
    use=use.format(texts=texts),
    expected=expected,
    title=config.task.replace("_", " ").capitalize(),
    does=_TASKS.get(config.task, _MOMENTS),
    count=sum(value.size for value in params.values()),
    fusion=config.model.fusion.kind,
    figures=_figures(export.metrics),
    source=export.source,
    window_seconds=export.window_seconds,
    labels=labels,
  )


def _figures(metrics: Mapping[str, Mapping[str, float]]) -> str:
  if not metrics:
    return "The run was not scored."
  head = (
    "What the run last scored.\n\n| split | metric | value |\n|---|---|---|"
  )
  return head + "".join(
    f"\n| {split} | {name} | {value:.2f} |"
    for split, values in metrics.items()
    for name, value in values.items()
  )
