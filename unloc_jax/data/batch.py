"""The Batch: what input hands to the model, and what evaluation looks up.

A batch is a dictionary of NumPy arrays holding this host's rows. B is the
number of those rows, Qv the captions of one video, S its segments.

  frames         uint8   [B, T, H, W, 3]  cropped; normalised on the device
  embeddings     float32 [B, T, D_in]     in place of frames
  frame_mask     bool    [B, T]           False where there is no frame
  text_ids       int32   [B, Qv, L]       captions only: a video's own texts
  query_mask     bool    [B, Qv]          captions only
  query_offset   int32   [B]              captions only: index, among the
                                          video's queries, of the row's first
                                          one (evaluation; -1 in training,
                                          where queries may be drawn)
  segments       float32 [B, S, 2]        start and end in sampled frame
                                          positions 0 .. T-1
  segment_query  int32   [B, S]           row of text_ids, or class index;
                                          -1 is padding
  duration       float32 [B]              seconds
  frame_rate     float32 [B]              stored frames per second
  frame_count    int32   [B]              stored frames N
  example_mask   bool    [B]              False: no example (padding of a last
                                          batch, or a corrupt record)
  example_index  int32   [B]              row of the split's SplitTable

A row whose example_mask is False has every mask False, every segment_query
-1, and zeros elsewhere.
"""

from typing import TypeAlias

import jax
import ml_collections
import numpy as np

from unloc_jax.task.tasks import get_task

Batch: TypeAlias = dict[str, np.ndarray]


def row_spec(
  config: ml_collections.ConfigDict,
) -> dict[str, tuple[tuple[int, ...], type]]:
  """Shape (without B) and dtype of every entry."""
  data = config.data
  frames, size = data.num_frames, data.image_size
  spec: dict[str, tuple[tuple[int, ...], type]] = {}
  if data.inputs == "frames":
    spec["frames"] = ((frames, size, size, 3), np.uint8)
  elif data.inputs == "embeddings":
    spec["embeddings"] = ((frames, data.embedding_width), np.float32)
  spec["frame_mask"] = ((frames,), np.bool_)
  if get_task(config.task).texts == "captions":
    spec["text_ids"] = ((data.max_queries, data.max_tokens), np.int32)
    spec["query_mask"] = ((data.max_queries,), np.bool_)
    spec["query_offset"] = ((), np.int32)
  spec["segments"] = ((data.max_segments, 2), np.float32)
  spec["segment_query"] = ((data.max_segments,), np.int32)
  spec["duration"] = ((), np.float32)
  spec["frame_rate"] = ((), np.float32)
  spec["frame_count"] = ((), np.int32)
  spec["example_mask"] = ((), np.bool_)
  spec["example_index"] = ((), np.int32)
  return spec


def batch_spec(
  config: ml_collections.ConfigDict, batch_size: int
) -> dict[str, jax.ShapeDtypeStruct]:
  """The Batch's shapes for B = batch_size, known without any data."""
  return {
    key: jax.ShapeDtypeStruct((batch_size, *shape), dtype)
    for key, (shape, dtype) in row_spec(config).items()
  }
