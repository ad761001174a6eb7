"""The Batch: what input hands to the model, and what evaluation looks up.

A batch is a dictionary of NumPy arrays, some of them by stream, holding this
host's rows. B is the number of those rows, Qv the captions of one video, S its
segments.

  streams        {name: array}            what a video is to the model:
    frames         uint8   [B, T, H, W, 3]  cropped; normalised on the device
    embeddings     float32 [B, T, D_in]     in place of frames
    sound          float32 [B, T, D_sound]  rows at the same positions
  masks          {name: bool [B, N]}      False where a stream has no token
  frame_mask     bool    [B, T]           False where a position has no frame
  text_ids       int32   [B, Qv, L]       captions only: a video's own texts;
                                          or float32 [B, Qv, E'], sentences as
                                          embeddings, or [B, Qv, L, E], tokens
                                          that others made, zeros as padding
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

from typing import Any, TypeAlias

import jax
import ml_collections
import numpy as np

from unloc_jax.data import streams
from unloc_jax.task.tasks import get_task

# {name: array, "streams": {name: array}, "masks": {name: array}}
Batch: TypeAlias = dict[str, Any]


def row_spec(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Shape (without B) and dtype of every entry."""
  data, shape = config.data, jax.ShapeDtypeStruct
  spec: dict[str, Any] = streams.row_spec(config)
  spec["frame_mask"] = shape((data.num_frames,), np.bool_)
  if get_task(config.task).texts == "captions":
    text, dtype = text_shape(config)
    spec["text_ids"] = shape((data.max_queries, *text), dtype)
    spec["query_mask"] = shape((data.max_queries,), np.bool_)
    spec["query_offset"] = shape((), np.int32)
  spec["segments"] = shape((data.max_segments, 2), np.float32)
  spec["segment_query"] = shape((data.max_segments,), np.int32)
  for name, dtype in (
    *(("duration", np.float32), ("frame_rate", np.float32)),
    *(("frame_count", np.int32), ("example_mask", np.bool_)),
    ("example_index", np.int32),
  ):
    spec[name] = shape((), dtype)
  return spec


def text_shape(
  config: ml_collections.ConfigDict,
) -> tuple[tuple[int, ...], Any]:
  """Shape and dtype of what the model is given of one caption."""
  length, width = config.data.max_tokens, config.data.text_width
  if width:
    return (length, width), np.float32
  if config.text.sentence_width:
    return (config.text.sentence_width,), np.float32
  return (length,), np.int32


def batch_spec(
  config: ml_collections.ConfigDict, batch_size: int
) -> dict[str, Any]:
  """The Batch's shapes for B = batch_size, known without any data."""
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((batch_size, *x.shape), x.dtype),
    row_spec(config),
  )
