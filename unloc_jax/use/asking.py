"""Texts asked of an encoded video: windows fused, decoded and joined.

Numbers of texts and windows are rounded up to a few sizes, so that few
programs are compiled whatever is asked.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from unloc_jax import detections
from unloc_jax.models.unloc import Predictions, Texts, UnLoc
from unloc_jax.prompts import encode_prompts
from unloc_jax.state import Parts, nest
from unloc_jax.use import windows
from unloc_jax.use.answers import Answer, Moment
from unloc_jax.use.encoded import EncodedVideo

_QUERY_SIZES = (1, 4, 16, 64)
# Soft-NMS takes the best first, so it need not go on to the last one.
_TOP_SIZES = (8, 32)
# Most (window, text) pairs fused at a time.
_PAIRS = 64


class Asker:
  """The jitted programs of a model.

  Args:
    parts: Of the model.
    params: {path: array}.
  """

  def __init__(self, parts: Parts, params: Mapping[str, jax.Array]):
    self._parts = parts
    self._params = params
    self._options = detections.DecodeSpec(**parts.config.decode.to_dict())
    self._texts = jax.jit(functools.partial(_encode_texts, parts))
    self._predict = jax.jit(functools.partial(_predict, parts))
    self._candidates = jax.jit(functools.partial(_candidates, parts))
    self._suppress = jax.jit(detections.suppress, static_argnums=0)

  def steps(self, counts: np.ndarray, rate: np.float32) -> np.ndarray:
    """Seconds between sampled frames of windows of N frames, float32 [W]."""
    batch = {
      "frame_count": jnp.asarray(counts),
      "frame_rate": jnp.full(counts.shape, rate, jnp.float32),
    }
    data = self._parts.config.data
    return np.asarray(detections.seconds_per_position(data, batch))

  def moments(
    self,
    video: EncodedVideo,
    queries: Sequence[str],
    texts: np.ndarray,
    top_k: int,
  ) -> list[Answer]:
    """Answers of every query, for tasks that find segments.

    Args:
      video: Encoded.
      queries: Q names.
      texts: Token ids [R, Q, L] or embeddings [R, Q, D] of R templates.
      top_k: Most moments of a query.

    Raises:
      ValueError: The task finds no segments.
    """
    if self._parts.task.decode != "per_query":
      raise ValueError(
        f"the model's task is {self._parts.task.name}, which finds no "
        "moments; use segment"
      )
    # Soft-NMS over all texts has to see all of them.
    whole = self._options.class_agnostic
    answers: list[Answer] = []
    for first, size in _chunks(len(queries), whole):
      last = first + size
      answers += self._chunk(
        video, queries[first:last], texts[:, first:last], top_k
      )
    return answers

  def _chunk(self, video, queries, texts, top_k) -> list[Answer]:
    texts = self._encoded(texts)
    found, times, curves = self._found(video, texts, len(queries), top_k)
    scores, segments = np.asarray(found.scores), np.asarray(found.segments)
    times, curves = windows.blend(times, curves, video.duration)
    answers = []
    for q, query in enumerate(queries):
      if found.classes is None:
        kept = np.flatnonzero(scores[0, q] > 0)[:top_k]
        own = segments[0, q][kept].tolist(), scores[0, q][kept].tolist()
      else:
        mine = (np.asarray(found.classes)[0] == q) & (scores[0] > 0)
        kept = np.flatnonzero(mine)[:top_k]
        own = segments[0][kept].tolist(), scores[0][kept].tolist()
      moments = [
        Moment(video.video_id, query, start, end, score)
        for (start, end), score in zip(*own, strict=True)
      ]
      answers.append(Answer(query, moments, times, curves[q]))
    return answers

  def _found(self, video, texts, num_queries, top_k):
    """Detections over all windows, and the relevance in each."""
    found_segments, found_scores = [], []
    for block in _blocks(video, texts.tokens.shape[0]):
      s, p = self._candidates(self._params, texts, *block)
      found_segments.append(s)
      found_scores.append(p)
    count = video.num_windows
    segments = np.concatenate(found_segments)[:count]
    scores = np.concatenate(found_scores)[:count]
    curves = [
      row[:num_queries, : len(mask)][:, mask]
      for row, mask in zip(scores, video.frame_mask, strict=True)
    ]
    times = [video.times(w) for w in range(count)]
    # Texts that only fill up must not take places of an NMS over all classes.
    asked = np.arange(scores.shape[1]) < num_queries
    scores = _side_by_side(scores * asked[:, None])
    options = self._options_for(top_k)
    found = self._suppress(
      options, _side_by_side(segments), scores, scores[..., :1]
    )
    return found, times, curves

  def _options_for(self, top_k: int) -> detections.DecodeSpec:
    """Options of soft-NMS that finds the best `top_k` of each query."""
    options = self._options
    if options.class_agnostic:
      return options
    most = options.max_detections
    enough = next((size for size in _TOP_SIZES if size >= top_k), most)
    return dataclasses.replace(options, max_detections=min(enough, most))

  def logits(
    self, video: EncodedVideo, num_queries: int, texts: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Relevance logits of every frame looked at, all windows blended.

    Returns:
      Seconds float64 [N] and logits float32 [Q, N].

    Raises:
      ValueError: The task says nothing of frames.
    """
    if self._parts.task.decode == "per_video":
      raise ValueError(
        f"the model's task is {self._parts.task.name}, which says nothing of "
        "single moments"
      )
    num_frames = self._parts.pyramid.num_frames
    rows = []
    for first, size in _chunks(num_queries, whole=False):
      encoded = self._encoded(texts[:, first : first + size])
      blocks = _blocks(video, encoded.tokens.shape[0])
      relevance = [
        self._predict(self._params, encoded, tokens, mask).relevance
        for tokens, mask, *_ in blocks
      ]
      joined = np.concatenate(relevance)[: video.num_windows, :size]
      rows.append(joined[..., :num_frames])
    logits = np.concatenate(rows, axis=1)
    times = [video.times(w) for w in range(video.num_windows)]
    kept = [
      row[:, mask] for row, mask in zip(logits, video.frame_mask, strict=True)
    ]
    return windows.blend(times, kept, video.duration)

  def _encoded(self, texts: np.ndarray) -> Texts:
    count = texts.shape[1]
    size = next(s for s in (*_QUERY_SIZES, count) if s >= count)
    padding = [(0, 0), (0, size - count), (0, 0)]
    return self._texts(self._params, np.pad(texts, padding, mode="edge"))


def _encode_texts(parts, params, prompts) -> Texts:
  run = functools.partial(encode_prompts, prompts=prompts)
  return parts.model.apply(nest(params), method=run)


def _predict(parts, params, texts, tokens, mask) -> Predictions:
  tokens = tokens.astype(parts.model.dtype)
  return parts.model.apply(
    nest(params), tokens, mask, texts, method=UnLoc.localize
  )


def _candidates(parts, params, texts, tokens, mask, steps, durations, starts):
  """Segments [W, Q, P, 2] in seconds of the video and scores [W, Q, P]."""
  predictions = _predict(parts, params, texts, tokens, mask)
  segments, scores = detections.candidates(
    parts.pyramid, predictions, mask, steps, durations
  )
  return segments + starts[:, None, None, None], scores


def _chunks(count: int, whole: bool):
  """(first, size) of the texts asked at a time."""
  largest = count if whole else _QUERY_SIZES[-1]
  for first in range(0, count, largest):
    yield first, min(largest, count - first)


def _blocks(video: EncodedVideo, num_texts: int):
  """Windows a few at a time: tokens, mask, steps, durations, starts."""
  size = _power_of_two(video.num_windows)
  size = min(size, max(1, _PAIRS // num_texts))
  arrays = (
    video.tokens,
    video.frame_mask,
    video.steps,
    video.durations,
    video.starts.astype(np.float32),
  )
  for first in range(0, video.num_windows, size):
    rows = [array[first : first + size] for array in arrays]
    missing = size - len(rows[0])
    yield [
      np.pad(row, [(0, missing)] + [(0, 0)] * (row.ndim - 1)) for row in rows
    ]


def _power_of_two(count: int) -> int:
  return 1 << (count - 1).bit_length()


def _side_by_side(rows: np.ndarray) -> np.ndarray:
  """[W, Q, P, ...] -> [1, Q, W' P, ...], W' a power of two, zeros added."""
  missing = _power_of_two(len(rows)) - len(rows)
  rows = np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1))
  rows = np.swapaxes(rows, 0, 1)
  return rows.reshape(1, len(rows), -1, *rows.shape[3:])
