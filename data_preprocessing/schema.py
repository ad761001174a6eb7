"""The one schema of every built dataset: one example is one video.

TensorFlow Datasets is imported when it is called for: processes that decode
never do.
"""

from typing import Any

import numpy as np

VERSION = "1.0.0"
FRAMES = "frames"
FEATURES = "features"


def features(extract: str, embedding_width: int | None = None) -> Any:
  """Returns the TFDS features of an example.

  Args:
    extract: FRAMES or FEATURES.
    embedding_width: Channels D of the features; None for frames.
  """
  import tensorflow_datasets as tfds

  # TFRecord has no doubles: as bytes, seconds are read back to the last bit,
  # which metrics at "IoU >= 0.5" need.
  exact = tfds.features.Encoding.BYTES

  def seconds(*shape: int | None) -> Any:
    return tfds.features.Tensor(shape=shape, dtype=np.float64, encoding=exact)

  def texts() -> Any:
    return tfds.features.Sequence(tfds.features.Text())

  content: dict[str, Any]
  if extract == FRAMES:
    image = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
    content = {"frames": tfds.features.Sequence(image)}
  else:
    shape = (None, embedding_width)
    tensor = tfds.features.Tensor(shape=shape, dtype=np.float32)
    content = {"embeddings": tensor}
  return tfds.features.FeaturesDict(
    {
      "video_id": tfds.features.Text(),
      "duration": seconds(),
      "frame_rate": seconds(),
      "frame_count": tfds.features.Scalar(np.int64),
      "timestamps": seconds(None),
      "queries": {"id": texts(), "text": texts(), "annotation": texts()},
      "segments": {
        "start": seconds(None),
        "end": seconds(None),
        "query": tfds.features.Tensor(shape=(None,), dtype=np.int64),
      },
      **content,
    }
  )
