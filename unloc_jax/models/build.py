"""Configs -> modules."""

import jax.numpy as jnp
import ml_collections

from unloc_jax.models.fusion import Fusion
from unloc_jax.models.heads import DisplacementHead, RelevanceHead
from unloc_jax.models.towers.clip import TextTower
from unloc_jax.models.towers.streams import build_encoders
from unloc_jax.models.unloc import READOUTS, TEXT_PARTS, UnLoc
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
  """The model of a config (all of configs/common.py's keys).

  Raises:
    ValueError: A value is not one of those allowed.
  """
  model = config.model
  task = get_task(config.task)
  if model.text_part not in TEXT_PARTS:
    raise ValueError(
      f"model.text_part: {model.text_part!r} is not one of {TEXT_PARTS}"
    )
  assert task.readout in READOUTS
  shared = {"scan": model.scan_layers, "dtype": jnp.dtype(model.dtype)}
  dtype = shared["dtype"]
  head = model.head
  encoders = build_encoders(config)
  return UnLoc(
    encoders=encoders,
    text_tower=_text_tower(model.text_tower, shared),
    fusion=Fusion(
      kind=model.fusion.kind,
      num_levels=len(config.pyramid.ranges),
      num_layers=model.fusion.num_layers,
      num_heads=model.fusion.num_heads,
      mlp_dim=model.fusion.mlp_dim,
      downsampling=model.fusion.downsampling,
      pyramid_init=model.fusion.pyramid_init,
      dropout=model.fusion.dropout,
      attention_dropout=model.fusion.attention_dropout,
      stochastic_depth=model.fusion.stochastic_depth,
      remat=model.fusion.remat,
      scan=model.scan_layers and model.fusion.kind != "fpn",
      dtype=dtype,
    ),
    relevance_head=RelevanceHead(
      num_layers=head.num_layers,
      shared_across_levels=head.shared_across_levels,
      bias=head.relevance_bias,
      **shared,
    ),
    displacement_head=DisplacementHead(
      num_layers=head.num_layers,
      shared_across_levels=head.shared_across_levels,
      bias=head.displacement_bias,
      **shared,
    )
    if task.has_displacement
    else None,
    width=model.width,
    similarity=model.fusion.similarity,
    num_frames=config.data.num_frames if len(encoders) > 1 else 0,
    freeze_text=model.text_tower.frozen,
    text_part=model.text_part,
    readout=task.readout,
    query_chunk=model.fusion.query_chunk,
    dtype=dtype,
  )


def _text_tower(tower, shared) -> TextTower | None:
  if tower.num_layers == 0:
    return None
  return TextTower(
    vocab_size=tower.vocab_size,
    max_tokens=tower.max_tokens,
    width=tower.width,
    num_layers=tower.num_layers,
    num_heads=tower.num_heads,
    remat=tower.remat,
    **shared,
  )
