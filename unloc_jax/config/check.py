"""Whether the values of a config can be: each key, and keys side by side."""

from collections.abc import Iterator

import ml_collections

from unloc_jax.config import schema


def problems(config: ml_collections.ConfigDict) -> list[str]:
  """What is wrong with a config, a line each: the key and what is allowed."""
  values, known = dict(schema.flat(config)), dict(schema.leaves())
  # A file that unlocks its config may add keys, and leave out others.
  found = [f"there is no key {path!r}" for path in values if path not in known]
  for path, key in known.items():
    if path not in values:
      found.append(f"{path} is missing; give {key.allowed}")
    elif not key.fits(values[path]):
      found.append(f"{path}={values[path]!r} cannot be; give {key.allowed}")
  return found or list(_side_by_side(config))


def check(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError with the first thing that is wrong, in one line."""
  for problem in problems(config):
    raise ValueError(problem)


def problems_of_run(config: ml_collections.ConfigDict) -> list[str]:
  """As `problems`, and whether a run of it can tell its best checkpoint."""
  name, names = config.checkpoint.best_metric, schema.FIGURES.get(config.task)
  if not names or name in names:
    return problems(config)
  return [
    *problems(config),
    f"checkpoint.best_metric={name!r} is no figure of task={config.task!r}; "
    f"give one of {', '.join(map(repr, names))}",
  ]


def _side_by_side(config: ml_collections.ConfigDict) -> Iterator[str]:
  data, model = config.data, config.model
  image, text = model.image_tower, model.text_tower
  if data.short_side < data.image_size:
    yield (
      f"data.short_side={data.short_side} is below "
      f"data.image_size={data.image_size}: no square of that size can "
      "be cut; raise short_side"
    )
  pooled = "token" if model.image_tower.kind == "clip" else "attention"
  if image.classifier not in (pooled, "gap"):
    yield (
      f"model.image_tower.classifier={image.classifier!r} cannot be of "
      f"kind={image.kind!r}; give {pooled!r} or 'gap'"
    )
  if not model.image_tower.class_token and image.kind != "pe":
    yield "model.image_tower.class_token is of kind='pe' alone"
  if model.text_tower.head_width and text.kind != "siglip2":
    yield "model.text_tower.head_width is of kind='siglip2' alone"
  cuts = "frames" in config.streams and image.num_layers
  if cuts and image.kind != "siglip2" and data.image_size % image.patch:
    yield (
      f"data.image_size={data.image_size} cannot be cut into patches of "
      f"model.image_tower.patch={image.patch}; give a multiple"
    )
  # Texts of other lengths are not what it has seen.
  if text.kind == "siglip2" and data.max_tokens != text.max_tokens:
    yield (
      f"data.max_tokens={data.max_tokens} cannot be of kind='siglip2', which "
      "reads its padding too; give model.text_tower.max_tokens, "
      f"{text.max_tokens}"
    )
  widths = {
    "text.sentence_width": config.text.sentence_width,
    "data.text_width": data.text_width,
  }
  for key, width in widths.items():
    if width and (text.num_layers or sum(widths.values()) > width):
      yield (
        f"{key}={width} takes the place of a text tower and of other features; "
        "set model.text_tower.num_layers and the other width to 0"
      )
  if data.text_width and data.format != "tfds":
    yield f"data.format={data.format!r} holds no features of texts"
  names, late = model.match.names, model.fusion.kind in ("late", "none")
  if names and (late or names >= config.text.sentence_width):
    yield (
      f"model.match.names={names} needs sentences that are wider, "
      "text.sentence_width, and a fusion.kind that fuses them"
    )
