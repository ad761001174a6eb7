"""Names of CLIP's parameters as others publish them, and ours.

Names are parts joined by slashes, theirs first (see `names`).
"""

from unloc_jax.weights.names import Table


def _blocks(theirs: str, ours: str, leaves: Table) -> Table:
  return tuple(
    (f"{theirs}/{{}}/{a}", f"{ours}/encoder/layer_{{}}/{b}") for a, b in leaves
  )


def _norm(theirs: str, ours: str) -> Table:
  return (
    (f"{theirs}/weight", f"{ours}/scale"),
    (f"{theirs}/bias", f"{ours}/bias"),
  )


def _linear(theirs: str, ours: str) -> Table:
  return (
    (f"{theirs}/weight", f"{ours}/kernel"),
    (f"{theirs}/bias", f"{ours}/bias"),
  )


# OpenAI's and OpenCLIP's block; q, k and v are split before (`_split_fused`).
_OPENAI_BLOCK = (
  *_norm("ln_1", "norm_1"),
  *_norm("ln_2", "norm_2"),
  *_linear("attn/q", "attention/query"),
  *_linear("attn/k", "attention/key"),
  *_linear("attn/v", "attention/value"),
  *_linear("attn/out_proj", "attention/out"),
  *_linear("mlp/c_fc", "mlp/up"),
  *_linear("mlp/c_proj", "mlp/down"),
)
_HUGGING_FACE_BLOCK = (
  *_norm("layer_norm1", "norm_1"),
  *_norm("layer_norm2", "norm_2"),
  *_linear("self_attn/q_proj", "attention/query"),
  *_linear("self_attn/k_proj", "attention/key"),
  *_linear("self_attn/v_proj", "attention/value"),
  *_linear("self_attn/out_proj", "attention/out"),
  *_linear("mlp/fc1", "mlp/up"),
  *_linear("mlp/fc2", "mlp/down"),
)

OPENAI: Table = (
  ("visual/conv1/weight", "image_tower/patch_embedding/kernel"),
  ("visual/class_embedding", "image_tower/class_embedding"),
  ("visual/positional_embedding", "image_tower/position_embedding"),
  *_norm("visual/ln_pre", "image_tower/norm_pre"),
  *_norm("visual/ln_post", "image_tower/norm_post"),
  *_blocks("visual/transformer/resblocks", "image_tower", _OPENAI_BLOCK),
  ("visual/proj", "image_projection/kernel"),
  ("token_embedding/weight", "text_tower/token_embedding/embedding"),
  ("positional_embedding", "text_tower/position_embedding"),
  *_norm("ln_final", "text_tower/norm_final"),
  *_blocks("transformer/resblocks", "text_tower", _OPENAI_BLOCK),
  ("text_projection", "text_projection/kernel"),
)

_HF_IMAGE, _HF_TEXT = "vision_model", "text_model"
HUGGING_FACE: Table = (
  (
    f"{_HF_IMAGE}/embeddings/patch_embedding/weight",
    "image_tower/patch_embedding/kernel",
  ),
  (f"{_HF_IMAGE}/embeddings/class_embedding", "image_tower/class_embedding"),
  (
    f"{_HF_IMAGE}/embeddings/position_embedding/weight",
    "image_tower/position_embedding",
  ),
  *_norm(f"{_HF_IMAGE}/pre_layrnorm", "image_tower/norm_pre"),
  *_norm(f"{_HF_IMAGE}/post_layernorm", "image_tower/norm_post"),
  *_blocks(f"{_HF_IMAGE}/encoder/layers", "image_tower", _HUGGING_FACE_BLOCK),
  ("visual_projection/weight", "image_projection/kernel"),
  (
    f"{_HF_TEXT}/embeddings/token_embedding/weight",
    "text_tower/token_embedding/embedding",
  ),
  (
    f"{_HF_TEXT}/embeddings/position_embedding/weight",
    "text_tower/position_embedding",
  ),
  *_norm(f"{_HF_TEXT}/final_layer_norm", "text_tower/norm_final"),
  *_blocks(f"{_HF_TEXT}/encoder/layers", "text_tower", _HUGGING_FACE_BLOCK),
  ("text_projection/weight", "text_projection/kernel"),
)
