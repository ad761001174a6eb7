"""Texts asked of an encoded video: windows fused, decoded and joined.

Numbers of texts and windows are rounded up to a few sizes, so that few
programs are compiled whatever is asked.
"""

import collections
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures

import jax
import jax.numpy as jnp
import numpy as np

from unloc_jax.models.unloc import Predictions, Texts, UnLoc
from unloc_jax.task import detections
from unloc_jax.task.prompts import encode_prompts
from unloc_jax.training.state import Parts, nest
from unloc_jax.use import windows
from unloc_jax.use.answers import Answer, Moment
from unloc_jax.use.encoded import EncodedVideo

# Texts fused at a time; more are shared out to threads.
_GROUP_SIZES = (1, 2, 4, 8, 16, 32)
# Groups of texts under way at a time, and those of them that are computed.
_THREADS = min(4, os.cpu_count() or 1)
_AHEAD = 2 * _THREADS
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
    self._relevance = jax.jit(functools.partial(_relevance, parts))
    self._candidates = jax.jit(functools.partial(_candidates, parts))
    self._compiled: set[tuple[Callable, int]] = set()
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
    found = self._each(self._candidates, video, texts)
    if self._options.class_agnostic:
      # Soft-NMS over all texts has to see all of them.
      found = iter([_side_by_side(found)])
    answers: list[Answer] = []
    for segments, scores in found:
      asked = queries[len(answers) :][: scores.shape[1]]
      answers += self._answers(video, asked, segments, scores, top_k)
    return answers

  def _answers(self, video, queries, segments, scores, top_k):
    """Answers from segments [W, Q', P, 2] and scores [W, Q', P]; Q' >= Q."""
    curves = [
      row[: len(queries), : len(mask)][:, mask]
      for row, mask in zip(scores, video.frame_mask, strict=True)
    ]
    frames = [video.times(w) for w in range(video.num_windows)]
    times, blended = windows.blend(frames, curves, video.duration)
    # Texts that only fill up must not take places of an NMS over all classes.
    asked = np.arange(scores.shape[1]) < len(queries)
    scores = _as_one_window(scores * asked[:, None])
    found = self._suppress(
      self._options_for(top_k),
      _as_one_window(segments),
      scores,
      scores[..., :1],
    )
    answers = []
    listed = _per_query(found, len(queries), top_k)
    for query, curve, (segments, scores) in zip(
      queries, blended, listed, strict=True
    ):
      moments = [
        Moment(video.video_id, query, start, end, score)
        for (start, end), score in zip(segments, scores, strict=True)
      ]
      answers.append(Answer(query, moments, times, curve))
    return answers

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
    (logits,) = _side_by_side(self._each(self._relevance, video, texts))
    logits = logits[:, :num_queries, : self._parts.pyramid.num_frames]
    times = [video.times(w) for w in range(video.num_windows)]
    kept = [
      row[:, mask] for row, mask in zip(logits, video.frame_mask, strict=True)
    ]
    return windows.blend(times, kept, video.duration)

  def _each(self, program, video, texts) -> Iterator[list[np.ndarray]]:
    """What a program says of all windows, for a group of texts at a time.

    Other groups are under way meanwhile: the cores of a CPU run whole programs
    side by side, where they cannot share one so small.

    Yields:
      Its outputs [W, Q', ...] of Q texts; Q' >= Q, the last one is repeated.
    """
    blocks = functools.cache(lambda count: list(_blocks(video, count)))

    def run(group: np.ndarray) -> list[np.ndarray]:
      encoded = self._encoded(group)
      made = [
        program(self._params, encoded, *block)
        for block in blocks(encoded.tokens.shape[0])
      ]
      return _gathered(made, video.num_windows)

    size = _GROUP_SIZES[-1]
    groups = [
      texts[:, first : first + size] for first in range(0, texts.shape[1], size)
    ]
    if len(groups) > 1 and (program, size) not in self._compiled:
      run(groups[0])  # Else every thread would compile it.
      self._compiled.add((program, size))
    yield from _ahead(run, groups)

  def _encoded(self, texts: np.ndarray) -> Texts:
    count = texts.shape[1]
    size = next(s for s in _GROUP_SIZES if s >= count)
    padding = [(0, 0), (0, size - count), (0, 0)]
    return self._texts(self._params, np.pad(texts, padding, mode="edge"))


def _ahead(
  run: Callable[[np.ndarray], list[np.ndarray]], groups: Sequence[np.ndarray]
) -> Iterator[list[np.ndarray]]:
  """`map` in threads, a few groups ahead; one group needs no thread."""
  if len(groups) == 1:
    yield run(groups[0])
    return
  with futures.ThreadPoolExecutor(_THREADS) as pool:
    waiting = collections.deque(pool.submit(run, g) for g in groups[:_AHEAD])
    for group in groups[_AHEAD:]:
      yield waiting.popleft().result()
      waiting.append(pool.submit(run, group))
    for future in waiting:
      yield future.result()


def _encode_texts(parts, params, prompts) -> Texts:
  run = functools.partial(encode_prompts, prompts=prompts)
  return parts.model.apply(nest(params), method=run)


def _predict(parts, params, texts, tokens, mask) -> Predictions:
  tokens = tokens.astype(parts.model.dtype)
  return parts.model.apply(
    nest(params), tokens, mask, texts, method=UnLoc.localize
  )


def _relevance(parts, params, texts, tokens, mask, *_) -> tuple[jax.Array]:
  """Logits [W, Q, P]."""
  return (_predict(parts, params, texts, tokens, mask).relevance,)


def _candidates(parts, params, texts, tokens, mask, steps, durations, starts):
  """Segments [W, Q, P, 2] in seconds of the video and scores [W, Q, P]."""
  predictions = _predict(parts, params, texts, tokens, mask)
  segments, scores = detections.candidates(
    parts.pyramid, predictions, mask, steps, durations
  )
  return segments + starts[:, None, None, None], scores


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


def _gathered(
  blocks: Sequence[Sequence[jax.Array]], num_windows: int
) -> list[np.ndarray]:
  """Outputs of blocks of windows -> each output, of all windows."""
  return [
    np.concatenate(outputs)[:num_windows]
    for outputs in zip(*blocks, strict=True)
  ]


def _side_by_side(groups: Iterable[Sequence[np.ndarray]]) -> list[np.ndarray]:
  """Outputs [W, Q, ...] of groups of texts -> each output, of all texts."""
  return [
    np.concatenate(outputs, axis=1) for outputs in zip(*groups, strict=True)
  ]


def _per_query(
  found: detections.Detections, num_queries: int, top_k: int
) -> Iterator[tuple[list[list[float]], list[float]]]:
  """Segments and scores of one video's queries, the best first."""
  scores, segments = np.asarray(found.scores)[0], np.asarray(found.segments)[0]
  if found.classes is None:
    counts = np.minimum((scores > 0).sum(1), top_k).tolist()
    for q, count in enumerate(counts[:num_queries]):
      yield segments[q, :count].tolist(), scores[q, :count].tolist()
    return
  classes = np.where(scores > 0, np.asarray(found.classes)[0], -1)
  for q in range(num_queries):
    mine = np.flatnonzero(classes == q)[:top_k]
    yield segments[mine].tolist(), scores[mine].tolist()


def _as_one_window(rows: np.ndarray) -> np.ndarray:
  """[W, Q, P, ...] -> [1, Q, W' P, ...], W' a power of two, zeros added."""
  missing = _power_of_two(len(rows)) - len(rows)
  rows = np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1))
  rows = np.swapaxes(rows, 0, 1)
  return rows.reshape(1, len(rows), -1, *rows.shape[3:])
