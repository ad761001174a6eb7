"""The one schema of every built dataset, its manifest and its report.

One example is one video. Only `features` needs TensorFlow Datasets, and
imports it when called: workers that decode never do.
"""

import dataclasses
import json
from typing import Any

import numpy as np

VERSION = "1.0.0"
MANIFEST_FORMAT = 1
FRAMES = "frames"
FEATURES = "features"


@dataclasses.dataclass
class Manifest:
  """What a built dataset was made of; readers refuse what does not match.

  Attributes:
    dataset: Name of the benchmark.
    extract: "frames" or "features".
    frame_rate: Stored positions per second.
    short_side: Shorter side of stored frames, in pixels, unless the video is
      smaller; 0 for features and for uncut size.
    jpeg_quality: 1 to 95; 0 for features.
    embedding_width: Channels of a stored feature, None for frames.
    tower_hash: Which image tower made the features, None for frames.
    normalisation: What was done to the pixels or features.
    classes: Class names by index, empty for captions.
    splits: Split -> {"videos", "queries", "segments"} counts.
    source: Where it is from: {"annotations", "fingerprint", "stride"}.
    format: Version of this record.
  """

  dataset: str
  extract: str
  frame_rate: float
  short_side: int
  jpeg_quality: int
  embedding_width: int | None
  tower_hash: str | None
  normalisation: str
  classes: list[str]
  splits: dict[str, dict[str, int]]
  source: dict[str, Any]
  format: int = MANIFEST_FORMAT

  def to_json(self) -> str:
    """Returns the text of manifest.json."""
    return dumps(dataclasses.asdict(self))

  @classmethod
  def from_json(cls, text: str) -> "Manifest":
    """Reads manifest.json. Raises ValueError on one of another format."""
    record = json.loads(text)
    if record["format"] != MANIFEST_FORMAT:
      raise ValueError(
        f"manifest.json: format {record['format']}, this code reads "
        f"{MANIFEST_FORMAT}; build the dataset again"
      )
    return cls(**record)


def dumps(record: Any) -> str:
  """Returns readable JSON with a fixed order, so equal records are equal."""
  return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


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

  def seconds() -> Any:
    return tfds.features.Tensor(shape=(None,), dtype=np.float64, encoding=exact)

  def scalar() -> Any:
    return tfds.features.Tensor(shape=(), dtype=np.float64, encoding=exact)

  def texts() -> Any:
    return tfds.features.Sequence(tfds.features.Text())

  content: dict[str, Any]
  if extract == FRAMES:
    content = {
      "frames": tfds.features.Sequence(
        tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
      )
    }
  else:
    content = {
      "embeddings": tfds.features.Tensor(
        shape=(None, embedding_width), dtype=np.float32
      )
    }
  return tfds.features.FeaturesDict(
    {
      "video_id": tfds.features.Text(),
      "duration": scalar(),
      "frame_rate": scalar(),
      "frame_count": tfds.features.Scalar(np.int64),
      "timestamps": seconds(),
      "queries": {"id": texts(), "text": texts(), "annotation": texts()},
      "segments": {
        "start": seconds(),
        "end": seconds(),
        "query": tfds.features.Tensor(shape=(None,), dtype=np.int64),
      },
      **content,
    }
  )
