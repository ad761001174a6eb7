"""The one schema of every built dataset: one example is one video."""

from typing import Any

import numpy as np

VERSION = "1.0.0"
FRAMES = "frames"
FEATURES = "features"
SOUND = "sound"


def features(
  extract: str,
  embedding_width: int | None = None,
  sound_width: int | None = None,
  text_width: int | None = None,
) -> Any:
  """Returns the TFDS features of an example.

  It holds frames, embeddings of D channels, or neither, and, where they have a
  width, sound and features of texts.
  """
  # Processes that decode import this module, and never TensorFlow.
  from tensorflow_datasets import features as tfds

  def seconds(*shape: int | None) -> Any:
    # TFRecord has no doubles: as bytes, seconds are read back to the last bit,
    # which metrics at "IoU >= 0.5" need.
    exact = tfds.Encoding.BYTES
    return tfds.Tensor(shape=shape, dtype=np.float64, encoding=exact)

  texts = tfds.Sequence(tfds.Text())
  content: dict[str, Any] = {}
  if extract == FRAMES:
    image = tfds.Image(shape=(None, None, 3), encoding_format="jpeg")
    content = {"frames": tfds.Sequence(image)}
  elif extract == FEATURES:
    tensor = tfds.Tensor(shape=(None, embedding_width), dtype=np.float32)
    content = {"embeddings": tensor}
  if sound_width:
    rows = tfds.Tensor(shape=(None, sound_width), dtype=np.float32)
    heard = tfds.Tensor(shape=(None,), dtype=np.bool_)
    content |= {"sound": rows, "sound_heard": heard}
  if text_width:
    tokens = tfds.Tensor(shape=(None, text_width), dtype=np.float32)
    lengths = tfds.Tensor(shape=(None,), dtype=np.int64)
    content |= {"text_tokens": tokens, "text_lengths": lengths}
  return tfds.FeaturesDict(
    {
      "video_id": tfds.Text(),
      "duration": seconds(),
      "frame_rate": seconds(),
      "frame_count": tfds.Scalar(np.int64),
      "timestamps": seconds(None),
      "queries": {"id": texts, "text": texts, "annotation": texts},
      "segments": {
        "start": seconds(None),
        "end": seconds(None),
        "query": tfds.Tensor(shape=(None,), dtype=np.int64),
      },
      **content,
    }
  )
