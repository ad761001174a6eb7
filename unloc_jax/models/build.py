"""Configs -> modules."""

import ml_collections

from unloc_jax.config.check import check
from unloc_jax.models.fusion import TEXTLESS, Fusion
from unloc_jax.models.heads import DisplacementHead, RelevanceHead
from unloc_jax.models.match import Match
from unloc_jax.models.towers import kinds
from unloc_jax.models.towers.clip import TextTower
from unloc_jax.models.towers.given import GivenTokens
from unloc_jax.models.towers.streams import build_encoders, compute_dtype
from unloc_jax.models.unloc import UnLoc
from unloc_jax.task.pyramid import PyramidSpec
from unloc_jax.task.tasks import get_task


def build_pyramid(config: ml_collections.ConfigDict) -> PyramidSpec:
  """The pyramid of a config."""
  return PyramidSpec(
    num_frames=config.data.num_frames,
    ranges=tuple(tuple(r) for r in config.pyramid.ranges),
    radius=config.pyramid.radius,
  )


def build_model(config: ml_collections.ConfigDict) -> UnLoc:
  """The model of a config.

  Raises:
    ValueError: A value is not one of those allowed.
  """
  check(config)
  model, task = config.model, get_task(config.task)
  dtype = compute_dtype(config)
  shared = {"scan": model.scan_layers, "dtype": dtype}
  encoders = build_encoders(config)
  text_tower: TextTower | GivenTokens | None = None
  if config.data.text_width:
    text_tower = GivenTokens(dtype)
  elif model.text_tower.num_layers:
    text_tower = kinds.text_tower(model.text_tower, **shared)
  head = {
    "num_layers": model.head.num_layers,
    "shared_across_levels": model.head.shared_across_levels,
    **shared,
  }
  displacement = DisplacementHead(bias=model.head.displacement_bias, **head)
  match = Match(model.width, dtype=dtype, **model.match.to_dict())
  fusion = model.fusion.to_dict()
  similarity, chunk = fusion.pop("similarity"), fusion.pop("query_chunk")
  product = fusion.pop("product") and model.fusion.kind not in TEXTLESS
  return UnLoc(
    encoders=encoders,
    text_tower=text_tower,
    fusion=Fusion(
      num_levels=len(config.pyramid.ranges),
      scan=model.scan_layers and model.fusion.kind != "fpn",
      dtype=dtype,
      **fusion,
    ),
    relevance_head=RelevanceHead(bias=model.head.relevance_bias, **head),
    displacement_head=displacement if task.has_displacement else None,
    width=model.width,
    similarity=similarity,
    product=product,
    num_frames=config.data.num_frames if len(encoders) > 1 else 0,
    freeze_text=model.text_tower.frozen,
    text_part=model.text_part,
    readout=task.readout,
    query_chunk=chunk,
    sentence_width=config.text.sentence_width,
    match=match if match.names else None,
    dtype=dtype,
  )
