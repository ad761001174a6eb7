"""Checkpoints of the reference implementation (Scenic's UnLoc) <-> ours."""

from collections.abc import Mapping
from typing import Any

from unloc_jax.weights.names import Table, invert, rename

_BLOCK = (
  ("norm_1", "ln_1"),
  ("norm_2", "ln_2"),
  ("attention", "attn"),
  ("mlp/up", "mlp/c_fc"),
  ("mlp/down", "mlp/c_proj"),
)


def _tower(ours: str, theirs: str) -> Table:
  return tuple(
    (
      f"{ours}/encoder/layer_{{}}/{a}",
      f"{theirs}/transformer/resblocks.{{}}/{b}",
    )
    for a, b in _BLOCK
  )


_IMAGE = "video_encoder/VisionTransformer"
_FUSION = "video_text_fusion/video_text_encoder"

_BACKBONE: Table = (
  ("image_tower/patch_embedding", "video_encoder/conv1"),
  ("image_tower/class_embedding", "video_encoder/class_embedding"),
  ("image_tower/position_embedding", f"{_IMAGE}/positional_embedding"),
  ("image_tower/norm_pre", f"{_IMAGE}/ln_pre"),
  ("image_tower/norm_post", f"{_IMAGE}/ln_post"),
  *_tower("image_tower", _IMAGE),
  ("image_projection", "video_projection"),
  ("text_tower/token_embedding", "text_encoder/token_embedding"),
  ("text_tower/position_embedding", "text_encoder/positional_embedding"),
  ("text_tower/norm_final", "text_encoder/ln_final"),
  *_tower("text_tower", "text_encoder"),
  ("text_projection", "text_projection"),
  (
    "fusion/encoder/layer_{}/norm_1",
    f"{_FUSION}/encoderblock_{{}}/LayerNorm_0",
  ),
  (
    "fusion/encoder/layer_{}/norm_2",
    f"{_FUSION}/encoderblock_{{}}/LayerNorm_1",
  ),
  (
    "fusion/encoder/layer_{}/attention",
    f"{_FUSION}/encoderblock_{{}}/MultiHeadAttention_0",
  ),
  (
    "fusion/encoder/layer_{}/mlp/up",
    f"{_FUSION}/encoderblock_{{}}/MlpBlock_0/Dense_0",
  ),
  (
    "fusion/encoder/layer_{}/mlp/down",
    f"{_FUSION}/encoderblock_{{}}/MlpBlock_0/Dense_1",
  ),
  ("fusion/norm", f"{_FUSION}/encoder_norm"),
  ("fusion/pyramid/conv_{}", f"{_FUSION}/output_conv_{{}}"),
  ("fusion/pyramid/norm_{}", f"{_FUSION}/output_ln_{{}}"),
  ("fusion/downsample_{}/conv", f"{_FUSION}/Conv_{{}}"),
)


def _branch(ours: str, theirs: str) -> Table:
  return tuple(
    row
    for a, b in (
      (f"{ours}/shared", theirs),
      (f"{ours}/level_{{}}", f"{theirs}_{{}}"),
    )
    for row in (
      (f"{a}/layer_{{}}/conv", f"{b}/conv{{}}"),
      (f"{a}/layer_{{}}/norm", f"{b}/ln{{}}"),
      (f"{a}/output", f"{b}/output_projection"),
    )
  )


def name_table(head: str, linear: bool) -> Table:
  """(ours, theirs) rows.

  Args:
    head: Their head's name, such as "moment_retrieval_head".
    linear: The head is a linear map and nothing else.
  """
  if linear:
    rows: Table = (
      ("relevance_head/shared/output", f"{head}/output_projection"),
    )
  else:
    rows = (
      *_branch("relevance_head", f"{head}/ClassificationHead"),
      *_branch("displacement_head", f"{head}/RegressionHead"),
      ("displacement_head/scale_{}", f"{head}/scale_{{}}"),
      ("displacement_head/shift_{}", f"{head}/shift_{{}}"),
    )
  return (*_BACKBONE, *rows)


def find_head(names: Mapping[str, Any]) -> tuple[str, bool]:
  """The head among reference parameter names, and whether it is linear.

  Raises:
    KeyError: There is not exactly one head.
  """
  heads = sorted({n.split("/")[0] for n in names if "_head/" in n})
  if len(heads) != 1:
    raise KeyError(
      f"a checkpoint with exactly one *_head was expected; it has {heads}"
    )
  return heads[0], f"{heads[0]}/output_projection/kernel" in names


def from_reference(params: Mapping[str, Any]) -> dict[str, Any]:
  """Their flat parameters {path: array} -> ours, unscanned.

  Raises:
    KeyError: Parameters with no counterpart, all of them listed.
  """
  return rename(params, invert(name_table(*find_head(params))))


def to_reference(
  params: Mapping[str, Any], head: str, linear: bool
) -> dict[str, Any]:
  """Our flat, unscanned parameters -> theirs; see `name_table`."""
  return rename(params, name_table(head, linear))
