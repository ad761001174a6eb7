"""Every key of `config.data`, declared once."""

import ml_collections


def data_config() -> ml_collections.ConfigDict:
  """The input's settings; a benchmark's config changes what differs."""
  c = ml_collections.ConfigDict()
  # Where. A built folder: <data_dir>/<dataset>/<version>.
  c.path = ""
  # "tfds" (what data_preprocessing builds) or "mediasequence"
  # (tf.train.SequenceExample files as DMVR and Scenic write them).
  c.format = "tfds"
  # TFDS splits, slices such as "train[:10%]" included; for MediaSequence the
  # part of the file names that tells splits apart.
  c.train_split = "train"
  c.eval_split = "val"
  # Frames per second of MediaSequence records that do not state it.
  c.mediasequence_frame_rate = 10.0

  # What a video is to the model: "frames" (JPEG), "embeddings", or "none"
  # where something else supplies it (see token_cache.py).
  c.inputs = "frames"
  # Width D_in of precomputed embeddings; read only for inputs="embeddings".
  c.embedding_width = 512
  # Frames T fed per video.
  c.num_frames = 128
  # "linspace": T positions spread over the whole video; "rate": one frame
  # per 1/rate seconds, the first T of them, the rest padding.
  c.sampling = "linspace"
  # Frames per second of sampling="rate".
  c.rate = 1.0
  # Side of the square crop, pixels.
  c.image_size = 224
  # Short side frames are brought to before the crop, pixels.
  c.short_side = 224

  # "captions": every video brings its texts; "classes": the texts are the
  # manifest's class names and segments carry class indices.
  c.texts = "captions"
  # Classes kept, by name, in this order (zero-shot splits); () keeps all.
  c.classes = ()
  # Captions per video Qv; training draws as many of longer lists, evaluation
  # gives a video several rows.
  c.max_queries = 8
  # Segments per video S; training refuses nothing but keeps the first S.
  c.max_segments = 32
  # Tokens per caption L, the start and end tokens included.
  c.max_tokens = 32

  # Training augmentation, the same for all frames of a video.
  c.augment = ml_collections.ConfigDict()
  # Random place of the crop; otherwise the centre.
  c.augment.random_crop = True
  # Probability of mirroring; 0 where captions say "left" and "right".
  c.augment.flip = 0.0
  # Short side is multiplied by a uniform draw from this range.
  c.augment.scale = (1.0, 1.0)
  # Probability of changing brightness, contrast, saturation and hue.
  c.augment.colour = 0.0
  # Probability of dropping colour.
  c.augment.grey = 0.0
  # RandAugment: operations in a row, and their strength of 0 to 10.
  c.augment.rand_layers = 0
  c.augment.rand_magnitude = 10
  # Start and end move by up to this fraction of the segment's length.
  c.augment.segment_jitter = 0.0

  # Parallel readers and decoders; -1 lets tf.data choose.
  c.num_workers = -1
  # Batches made ahead of the step that takes them.
  c.prefetch = 2
  # Splits of up to this size have every record's checksum verified before
  # the first step; records of larger ones are verified as they are read.
  c.verify_gib = 4.0
  # Corrupt records that are skipped (and counted) before a run stops.
  c.max_corrupt_records = 0
  return c


def check(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError on a value no reader understands."""
  choices = {
    "format": ("tfds", "mediasequence"),
    "inputs": ("frames", "embeddings", "none"),
    "sampling": ("linspace", "rate"),
    "texts": ("captions", "classes"),
  }
  for key, known in choices.items():
    if config[key] not in known:
      raise ValueError(
        f"data.{key}={config[key]!r} is unknown; choose one of {known}"
      )
  for key in (
    "num_frames",
    "image_size",
    "max_queries",
    "max_segments",
    "prefetch",
  ):
    if config[key] < 1:
      raise ValueError(f"data.{key}={config[key]} must be at least 1")
  if config.short_side < config.image_size:
    raise ValueError(
      f"data.short_side={config.short_side} is below "
      f"data.image_size={config.image_size}: no square of that size can "
      "be cut; raise short_side"
    )
  if config.classes and config.texts != "classes":
    raise ValueError(
      "data.classes selects classes, but data.texts='captions'; set "
      "data.texts='classes' or leave data.classes empty"
    )
  low, high = config.augment.scale
  if not 0 < low <= high:
    raise ValueError(
      f"data.augment.scale=({low}, {high}) must be (low, high) above 0"
    )
