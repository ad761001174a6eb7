"""Any config at sizes that two CPU cores carry in minutes."""

import ml_collections

_SIZES = {
  "streams": ("frames",),
  "text.sentence_width": 0,
  "data.text_width": 0,
  "model.match.names": 0,
  "data.num_frames": 32,
  "data.image_size": 32,
  "data.short_side": 40,
  "data.max_tokens": 16,
  "data.classes": (),
  "text.class_embeddings": "",
  "model.width": 64,
  "model.image_tower.patch": 8,
  "model.image_tower.width": 64,
  "model.image_tower.num_layers": 2,
  "model.image_tower.num_heads": 4,
  "model.image_tower.frozen": False,
  "model.text_tower.width": 64,
  "model.text_tower.num_layers": 1,
  "model.text_tower.num_heads": 4,
  "model.text_tower.frozen": False,
  "model.fusion.num_layers": 2,
  "model.fusion.num_heads": 4,
  "model.fusion.query_chunk": 0,
  "model.fusion.mlp_dim": 256,
  "optimizer.name": "adamw",
  "optimizer.rates": (("", 1e-3),),
  "optimizer.warmup": 10.0,
  "optimizer.schedule": "cosine",
  "optimizer.decay": (),
  "train.batch_size": 8,
  "train.accumulate": 1,
  "train.unit": "steps",
  "train.length": 100.0,
  "train.num_videos": 0,
  "init.weights": "",
  "eval.batch_size": 8,
  "eval.every": 50.0,
  "eval.classes": (),
  "checkpoint.every": 50.0,
  "log.every_steps": 10,
}


def laptop(
  config: ml_collections.ConfigDict, data: str
) -> ml_collections.ConfigDict:
  """The config with tiny towers and few steps, on a built dataset."""
  small = config.copy_and_resolve_references().unlock()
  small.update_from_flattened_dict({**_SIZES, "data.path": data})
  if small.model.fusion.kind == "fpn":  # A layer a level.
    small.model.fusion.num_layers = len(small.pyramid.ranges)
  return small.lock()
