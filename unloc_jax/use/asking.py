"""Texts asked of an encoded video: windows fused, decoded and joined.

Numbers of texts and windows are rounded up to a few sizes, so that few
programs are compiled whatever is asked. Axes: R templates, Q texts (Q' once
rounded up), W windows, P points, T frames, N frames of all windows.
"""

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, cast

import jax
import numpy as np

from unloc_jax.models.unloc import Texts, UnLoc
from unloc_jax.task import detections
from unloc_jax.training.state import Parts, nest
from unloc_jax.use import windows
from unloc_jax.use.answers import Answer, Moment
from unloc_jax.use.encoded import EncodedVideo

Params = Mapping[str, jax.Array]

# Texts fused at a time; more are shared out to threads.
_GROUP_SIZES = (1, 2, 4, 8, 16, 32)
_THREADS = min(4, os.cpu_count() or 1)
# Groups of texts whose results are held at a time.
_HELD = 4 * _THREADS
# Soft-NMS takes the best first, so it need not go on to the last one; twice
# as many as are wanted, since some may be the same.
_TOP_SIZES = (8, 32)
# Most (window, text) pairs fused at a time.
_PAIRS = 64


class Asker:
  """The jitted programs of a model, given its {path: array}."""

  def __init__(self, parts: Parts, params: Params):
    self._parts = parts
    self._params = params
    self._options = detections.DecodeSpec(**parts.config.decode.to_dict())
    self._encode = jax.jit(functools.partial(_encode, parts))
    self._fuse = jax.jit(functools.partial(_fuse, parts))
    self._suppress = jax.jit(detections.suppress, static_argnums=0)
    self._has_fused_groups = False

  def moments(
    self,
    video: EncodedVideo,
    queries: Sequence[str],
    texts: np.ndarray,
    top_k: int,
  ) -> list[Answer]:
    """Answers of Q queries, of at most `top_k` moments each.

    Texts are token ids [R, Q, L] or embeddings [R, Q, D]. Raises ValueError
    where the task finds no segments.
    """
    if self._parts.task.decode != "per_query":
      raise ValueError(
        f"the model's task is {self._parts.task.name}, which finds no "
        "moments; use segment"
      )
    found = self._each(video, texts)
    if self._options.class_agnostic:
      # Soft-NMS over all texts has to see all of them.
      found = iter([_joined(found, axis=1)])
    answers: list[Answer] = []
    for _, segments, scores in found:
      asked = queries[len(answers) :][: scores.shape[1]]
      seen = _blended(video, scores[:, : len(asked)])
      # Texts that only fill up must not take places of an NMS over all.
      scores[:, len(asked) :] = 0.0
      segments, scores = _as_one_window(segments), _as_one_window(scores)
      answers += self._best(video, asked, segments, scores, seen, top_k)
    return answers

  def _best(
    self,
    video: EncodedVideo,
    queries: Sequence[str],
    segments: np.ndarray,
    scores: np.ndarray,
    seen: tuple[np.ndarray, np.ndarray],
    top_k: int,
  ) -> Iterator[Answer]:
    """Answers of Q queries from segments [1, Q', P, 2], scores [1, Q', P].

    What was seen is the seconds of frames [N], and relevance [Q, N].
    """
    times, curves = seen
    options = self._options
    if not options.class_agnostic:
      most = options.max_detections
      enough = next((n for n in _TOP_SIZES if n >= 2 * top_k), most)
      options = dataclasses.replace(options, max_detections=min(enough, most))
    found = self._suppress(options, segments, scores, scores[..., :1])
    kept = np.asarray(found.scores)[0]
    rows = np.concatenate([found.segments[0], kept[..., None]], axis=-1)
    for q, (query, curve) in enumerate(zip(queries, curves, strict=True)):
      if found.classes is None:
        best = rows[q][kept[q] > 0]
      else:
        best = rows[(np.asarray(found.classes)[0] == q) & (kept > 0)]
      # Points that see the whole of a video all say so; once is enough.
      _, first = np.unique(best[:, :2], axis=0, return_index=True)
      moments = [
        Moment(video.video_id, query, *row)
        for row in best[np.sort(first)][:top_k].tolist()
      ]
      yield Answer(query, moments, times, curve)

  def logits(
    self, video: EncodedVideo, texts: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Seconds float64 [N] of all frames and their relevance logits [Q, N].

    Windows are blended. Raises ValueError where the task says nothing of
    frames.
    """
    if self._parts.task.decode == "per_video":
      raise ValueError(
        f"the model's task is {self._parts.task.name}, which says nothing of "
        "single moments"
      )
    logits = np.concatenate([said[0] for said in self._each(video, texts)], 1)
    return _blended(video, logits[:, : texts.shape[1]])

  def _each(
    self, video: EncodedVideo, texts: np.ndarray
  ) -> Iterator[list[np.ndarray]]:
    """Yields what `_fuse` says, for all W windows and a group of texts.

    The last text is repeated where they are less than Q'. Other groups are
    under way meanwhile: the cores of a CPU run whole programs side by side,
    where they cannot share one so small.
    """
    blocks = functools.cache(lambda count: list(_blocks(video, count)))

    def run(group: np.ndarray) -> list[np.ndarray]:
      count = group.shape[1]
      size = next(s for s in _GROUP_SIZES if s >= count)
      repeated = np.minimum(np.arange(size), count - 1)
      padded = group[:, repeated]
      encoded = self._encode(self._params, padded)
      made = [self._fuse(self._params, encoded, *each) for each in blocks(size)]
      return [rows[: video.num_windows] for rows in _joined(made, axis=0)]

    firsts = range(0, texts.shape[1], _GROUP_SIZES[-1])
    groups = [texts[:, first : first + _GROUP_SIZES[-1]] for first in firsts]
    if len(groups) == 1:
      yield run(groups[0])
      return
    if not self._has_fused_groups:
      run(groups[0])  # Else every thread would compile it.
      self._has_fused_groups = True
    with futures.ThreadPoolExecutor(_THREADS) as pool:
      for first in range(0, len(groups), _HELD):
        yield from pool.map(run, groups[first : first + _HELD])


def _encode(parts: Parts, params: Params, prompts: jax.Array) -> Texts:
  method = UnLoc.encode_prompts
  return cast(Texts, parts.model.apply(nest(params), prompts, method=method))


def _fuse(
  parts: Parts,
  params: Params,
  texts: Texts,
  tokens: jax.Array,
  token_mask: jax.Array,
  mask: jax.Array,
  steps: jax.Array,
  durations: jax.Array,
  starts: jax.Array,
) -> tuple[jax.Array, ...]:
  """Relevance logits [W, Q', P] and, of tasks that find them, segments.

  These are [W, Q', P, 2], in seconds of the video, and scores [W, Q', P].
  """
  tokens = tokens.astype(parts.model.dtype)
  said: Any = parts.model.apply(
    nest(params), tokens, token_mask, texts, method=UnLoc.localize
  )
  if parts.task.decode != "per_query":
    return (said.relevance,)
  segments, scores = detections.candidates(
    parts.pyramid, said, mask, steps, durations
  )
  return said.relevance, segments + starts[:, None, None, None], scores


def _blocks(video: EncodedVideo, num_texts: int) -> Iterator[list[np.ndarray]]:
  """Windows a few at a time: what `_fuse` takes, in its order."""
  count = video.num_windows
  size = min(_power_of_two(count), max(1, _PAIRS // num_texts))
  seen = [video.tokens, video.token_mask, video.frame_mask, video.steps]
  seen += [video.durations, video.starts.astype(np.float32)]
  for first in range(0, count, size):
    yield [_filled_up(array[first : first + size], size) for array in seen]


def _blended(
  video: EncodedVideo, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Seconds [N] of frames, and what is said of them: [W, Q, P] -> [Q, N]."""
  kept = [  # The first T of the P points are the frames.
    row[:, : len(mask)][:, mask]
    for row, mask in zip(rows, video.shown(), strict=True)
  ]
  return windows.blend(video.times(), kept, video.duration)


def _as_one_window(rows: np.ndarray) -> np.ndarray:
  """[W, Q, P, ...] -> [1, Q, W' P, ...], W' a power of two, zeros added."""
  rows = np.swapaxes(_filled_up(rows, _power_of_two(len(rows))), 0, 1)
  return rows.reshape(1, len(rows), -1, *rows.shape[3:])


def _filled_up(rows: np.ndarray, count: int) -> np.ndarray:
  """Rows of zeros added, so that there are `count`."""
  return np.pad(rows, [(0, count - len(rows))] + [(0, 0)] * (rows.ndim - 1))


def _joined(groups: Iterable[Sequence[Any]], axis: int) -> list[np.ndarray]:
  """Outputs of groups -> each output, of all groups."""
  return [np.concatenate(parts, axis) for parts in zip(*groups, strict=True)]


def _power_of_two(count: int) -> int:
  return 1 << (count - 1).bit_length()
