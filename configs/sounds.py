r"""Sounds in recordings, asked in free sentences: mixtures of ESC-10.

    python -m data_preprocessing.sounds --esc10 ESC10 --out RAW
    python -m data_preprocessing.build --dataset custom --extract sound \
      --annotations RAW --videos RAW --sound EXTRACTOR --frame_rate 4 \
      --data_dir DATA
    python -m unloc_jax.main --config=configs/sounds.py \
      --config.data.path=DATA/custom/1.0.0 \
      --config.text.sentences=EXTRACTOR/sentences.npz

`:log_mel` hears a spectrogram by a tower that starts from scratch (`--sound
log_mel` when building) in place of YAMNet. docs/sound.md says what EXTRACTOR
is and what is reached.
"""

import ml_collections

from configs import common, synthetic_towers
from unloc_jax.config.schema import RANGES_5, base

_CLASSES, _EMBEDDING, _BANDS = 521, 384, 64
_RATE = 4


def get_config(argument: str = "") -> ml_collections.ConfigDict:
  """Rows of YAMNet, or log-mel."""
  chosen = common.parse_argument(argument, {"size": ("yamnet", "log_mel")})
  c = base().unlock()
  c.task = "matched_moment_retrieval"
  c.streams = ("sound",)
  c.data.path, c.text.sentences = "data/custom/1.0.0", "extractor/sentences.npz"
  data, model, fusion = c.data, c.model, c.model.fusion
  # 48 s.
  data.num_frames, data.sampling, data.rate = 192, "rate", float(_RATE)
  data.max_queries, data.max_segments = 4, 16
  data.sound_width = _CLASSES + _EMBEDDING + _BANDS
  c.text.sentence_width = _CLASSES + _EMBEDDING
  c.text.prompts = ("{}",)
  model.match.names = _CLASSES
  model.width = model.sound_tower.width = 64
  model.image_tower.num_layers = model.text_tower.num_layers = 0
  fusion.num_layers, fusion.num_heads, fusion.mlp_dim = 2, 4, 256
  fusion.pyramid_init = "identity"
  fusion.dropout = 0.1
  model.head.num_layers = 2
  model.head.shared_across_levels = True
  model.head.relevance_bias = -2.0
  c.pyramid.ranges = RANGES_5
  synthetic_towers.set_adamw(c, rate=2e-3, steps=800)
  c.optimizer.weight_decay = 0.05
  c.train.batch_size = 8
  c.eval.splits = ("noise", "water")
  c.eval.every = c.checkpoint.every = 0.0
  if chosen["size"] == "log_mel":
    data.sound_width = 100 // _RATE * _BANDS
    model.match.names, model.sound_tower.num_layers = 0, 3
  return c.lock()
