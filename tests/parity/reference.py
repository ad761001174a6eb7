"""Parameters of the reference implementation (Scenic's UnLoc) -> ours."""

import re
from collections.abc import Mapping
from typing import Any

from unloc_jax.weights.conversion import Table, translate

_BLOCK = (
  ("ln_1", "norm_1"),
  ("ln_2", "norm_2"),
  ("attn", "attention"),
  ("mlp/c_fc", "mlp/up"),
  ("mlp/c_proj", "mlp/down"),
)
_FUSION_BLOCK = (
  ("LayerNorm_0", "norm_1"),
  ("LayerNorm_1", "norm_2"),
  ("MultiHeadAttention_0", "attention"),
  ("MlpBlock_0/Dense_0", "mlp/up"),
  ("MlpBlock_0/Dense_1", "mlp/down"),
)


def _blocks(theirs: str, ours: str, block: Table) -> Table:
  return tuple(
    (f"{theirs}{{}}/{a}", f"{ours}/encoder/layer_{{}}/{b}") for a, b in block
  )


def _branch(theirs: str, ours: str) -> Table:
  return tuple(
    row
    for a, b in (
      (theirs, f"{ours}/shared"),
      (f"{theirs}_{{}}", f"{ours}/level_{{}}"),
    )
    for row in (
      (f"{a}/conv{{}}", f"{b}/layer_{{}}/conv"),
      (f"{a}/ln{{}}", f"{b}/layer_{{}}/norm"),
      (f"{a}/output_projection", f"{b}/output"),
    )
  )


_IMAGE = "video_encoder/VisionTransformer"
_FUSION = "video_text_fusion/video_text_encoder"

TABLE: Table = (
  ("video_encoder/conv1", "image_tower/patch_embedding"),
  ("video_encoder/class_embedding", "image_tower/class_embedding"),
  (f"{_IMAGE}/positional_embedding", "image_tower/position_embedding"),
  (f"{_IMAGE}/ln_pre", "image_tower/norm_pre"),
  (f"{_IMAGE}/ln_post", "image_tower/norm_post"),
  *_blocks(f"{_IMAGE}/transformer/resblocks.", "image_tower", _BLOCK),
  ("video_projection", "image_projection"),
  ("text_encoder/token_embedding", "text_tower/token_embedding"),
  ("text_encoder/positional_embedding", "text_tower/position_embedding"),
  ("text_encoder/ln_final", "text_tower/norm_final"),
  *_blocks("text_encoder/transformer/resblocks.", "text_tower", _BLOCK),
  ("text_projection", "text_projection"),
  *_blocks(f"{_FUSION}/encoderblock_", "fusion", _FUSION_BLOCK),
  (f"{_FUSION}/encoder_norm", "fusion/norm"),
  (f"{_FUSION}/output_conv_{{}}", "fusion/pyramid/conv_{}"),
  (f"{_FUSION}/output_ln_{{}}", "fusion/pyramid/norm_{}"),
  (f"{_FUSION}/Conv_{{}}", "fusion/downsample_{}/conv"),
  # The head of segmentation is a linear map and nothing else.
  ("head/output_projection", "relevance_head/shared/output"),
  *_branch("head/ClassificationHead", "relevance_head"),
  *_branch("head/RegressionHead", "displacement_head"),
  ("head/scale_{}", "displacement_head/scale_{}"),
  ("head/shift_{}", "displacement_head/shift_{}"),
)


def from_reference(params: Mapping[str, Any]) -> dict[str, Any]:
  """Their flat parameters {path: array} -> ours, layers apart.

  Raises:
    KeyError: Parameters with no counterpart, all of them listed.
  """
  # A head has its task's name: moment_retrieval_head, ...
  bare = {
    re.sub(r"^\w+_head/", "head/", name): value
    for name, value in params.items()
  }
  names, unknown = translate(bare, TABLE)
  if unknown:
    raise KeyError("no known counterpart of: " + ", ".join(unknown))
  return {names[name]: value for name, value in bare.items()}
