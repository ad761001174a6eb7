"""UnLoc: B videos and Q texts -> relevance and displacement at P points.

The one path of every task (paper figure 2). What differs between tasks is in
the values the modules are built with and in the shapes of the texts:

  text [Q, ...]      every video is fused with every text ("all")
  text [B, Qv, ...]  every video is fused with its own texts ("matched")
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from unloc_jax.models.attention import Dtype, join
from unloc_jax.models.fusion import TEXTLESS, Fusion
from unloc_jax.models.heads import DisplacementHead, RelevanceHead
from unloc_jax.models.match import Match, unit
from unloc_jax.models.towers.clip import TextTower
from unloc_jax.models.towers.given import GivenTokens
from unloc_jax.models.towers.streams import Encoder
from unloc_jax.parallel.sharding import constrain, shares
from unloc_jax.task.predictions import Predictions
from unloc_jax.task.pyramid import level_lengths


@flax.struct.dataclass
class Texts:
  """Texts as fusion takes them.

  Attributes:
    tokens: Projected, [Q, L', D] or [B, Qv, L', D].
    mask: bool [..., L'], False = padding.
  """

  tokens: jax.Array
  mask: jax.Array

  def mean(self) -> jax.Array:
    """Mean token of each text [..., D]."""
    weights = self.mask[..., None].astype(jnp.float32)
    count = jnp.maximum(jnp.sum(weights, axis=-2), 1)
    return jnp.sum(self.tokens * weights, axis=-2) / count


class UnLoc(nn.Module):
  """The whole model; see `unloc_jax.models.build` for configs.

  Attributes:
    encoders: Of the streams; points of the pyramid sit on the first.
    text_tower: None where texts are precomputed embeddings.
    displacement_head: None for segmentation and classification.
    width: D, fusion width.
    readout: What the relevance head reads; see `Task.readout`.
    similarity: "cosine" or "dot" (over the square root of D), how points and
      texts are compared where fusion leaves the text out.
    product: Whether fusion is given products of frames and texts too; not
      where it leaves the text out.
    num_frames: T, tokens of the first stream; 0 where it is the only one.
    sentence_width: E', of sentences that `text_projection` maps to D; 0 where
      embeddings of texts are of width D as they are.
    match: Compares rows of streams with sentences, if anything does; their E'
      channels then follow the D of a token.
  """

  encoders: tuple[Encoder, ...]
  text_tower: TextTower | GivenTokens | None
  fusion: Fusion
  relevance_head: RelevanceHead
  displacement_head: DisplacementHead | None
  width: int
  freeze_text: bool = False
  text_part: str = "eos"
  readout: str = "points"
  query_chunk: int = 0
  similarity: str = "cosine"
  product: bool = False
  num_frames: int = 0
  sentence_width: int = 0
  match: Match | None = None
  dtype: Dtype = jnp.float32

  def setup(self) -> None:
    project = functools.partial(
      nn.Dense, self.width, use_bias=False, dtype=self.dtype
    )
    for encoder in self.encoders:
      if encoder.make is not None:
        setattr(self, f"{encoder.sense}_tower", encoder.make())
      if encoder.stem is not None:
        setattr(self, f"{encoder.sense}_stem", encoder.stem())
      setattr(self, f"{encoder.sense}_projection", project())
    if len(self.encoders) > 1:
      self.kind_embedding = self.param(
        "kind_embedding",
        nn.initializers.normal(0.02),
        (len(self.encoders) + 1, self.width),
      )
    if self.text_tower is not None or self.sentence_width:
      self.text_projection = project()
    if self.product:
      self.product_projection = project()
    if self.fusion.kind in TEXTLESS:
      log_scale = math.log(1 / 0.07) if self.similarity == "cosine" else 0.0
      self.log_scale = self.param(
        "log_scale", nn.initializers.constant(log_scale), ()
      )
      self.relevance_bias = self.param(
        "relevance_bias",
        nn.initializers.constant(self.relevance_head.bias),
        (),
      )

  def encode_stream(
    self, name: str, rows: jax.Array, deterministic: bool = True
  ) -> jax.Array:
    """Rows of a stream [B, ...] -> its tower's tokens [B, N, width].

    Those that a stem is to see are zeros where the rows are, so at padding.
    """
    encoder = next(e for e in self.encoders if e.stream == name)
    if encoder.make is None:
      return rows.astype(self.dtype)
    tokens = getattr(self, f"{encoder.sense}_tower")(rows, deterministic)
    if encoder.stem is not None:
      is_real = jnp.any(rows != 0, axis=tuple(range(2, rows.ndim)))
      tokens = jnp.where(is_real[..., None], tokens, 0)
    return jax.lax.stop_gradient(tokens) if encoder.frozen else tokens

  def encode_video(
    self, streams: Mapping[str, jax.Array], deterministic: bool = True
  ) -> jax.Array:
    """Named streams [B, ...] -> projected tokens [B, S, D], stream by stream.

    Of the first stream there are T. With `video_mask` they are what `localize`
    takes.
    """
    parts = []
    for kind, encoder in enumerate(self.encoders):
      rows = streams[encoder.stream]
      seen = self.encode_stream(encoder.stream, rows, deterministic)
      tokens = getattr(self, f"{encoder.sense}_projection")(seen)
      if encoder.stem is not None:
        tokens += getattr(self, f"{encoder.sense}_stem")(seen, deterministic)
      tokens = self._of_kind(tokens, kind)
      if self.match is not None:
        tokens = self._with_evidence(tokens, rows, encoder.is_named)
      parts.append(constrain(tokens, "batch"))
    return join(tuple(parts), axis=-2)

  def _with_evidence(
    self, tokens: jax.Array, rows: jax.Array, is_named: bool = True
  ) -> jax.Array:
    """Tokens [..., D] -> [..., D + E'], behind them what `match` compares."""
    shape = (*tokens.shape[:-1], self.sentence_width)
    rows = rows[..., : shape[-1]] if is_named else jnp.zeros(shape, self.dtype)
    return jnp.concatenate([tokens, rows.astype(self.dtype)], axis=-1)

  def video_mask(self, masks: Mapping[str, jax.Array]) -> jax.Array:
    """Masks of named streams bool [B, N] -> that of their tokens [B, S]."""
    return join(tuple(masks[e.stream] for e in self.encoders), axis=-1)

  def _of_kind(self, tokens: jax.Array, kind: int) -> jax.Array:
    """Tokens that tell their stream, or the text (-1), from the others."""
    if len(self.encoders) == 1:
      return tokens
    return tokens + self.kind_embedding[kind].astype(self.dtype)

  def encode_text(self, texts: jax.Array, deterministic: bool = True) -> Texts:
    """Ids int [..., L], or floats, [..., L, E] or [..., D | E'] -> Texts."""
    tower, is_ids = self.text_tower, jnp.issubdtype(texts.dtype, jnp.integer)
    if isinstance(tower, GivenTokens) or is_ids:
      assert tower is not None, "the model has no text tower"
      tokens = tower(texts, deterministic)
      if self.freeze_text:
        tokens = jax.lax.stop_gradient(tokens)
      tokens = self.text_projection(tokens)
      if self.text_part == "all":
        return Texts(tokens, tower.real(texts))
      tokens = tower.pool(tokens, texts)
    else:
      tokens = texts.astype(self.dtype)
      if self.match is not None:
        said = self.text_projection(tokens[..., self.match.names :])
        tokens = self._with_evidence(said, tokens)
      elif self.sentence_width:
        tokens = self.text_projection(tokens)
    tokens = tokens[..., None, :]
    return Texts(tokens, jnp.ones(tokens.shape[:-1], bool))

  def encode_prompts(self, prompts: jax.Array) -> Texts:
    """Prompts [R, C, ...] of R templates -> texts [C, L', D], their mean.

    Where all tokens of a text are fused they cannot be averaged: the first
    template is taken.
    """
    if self.text_part == "all":
      return self.encode_text(prompts[0])
    texts = self.encode_text(prompts)
    return Texts(jnp.mean(texts.tokens, axis=0), texts.mask[0])

  def localize(
    self,
    video: jax.Array,
    video_mask: jax.Array,
    texts: Texts,
    pairs: jax.Array | None = None,
    deterministic: bool = True,
  ) -> Predictions:
    """Tokens of videos and texts -> predictions.

    Args:
      video: Of `encode_video`, [B, S, D].
      video_mask: bool [B, S].
      texts: [Q, L', D] or [B, Q, L', D].
      pairs: int32 [B, M], the texts of each video whose displacement is asked
        for (negative: none); without it, all Q.
      deterministic: No dropout.
    """
    if texts.tokens.ndim == 3:
      texts = Texts(texts.tokens[None], texts.mask[None])
    num_queries = texts.tokens.shape[1]
    if self.fusion.kind not in TEXTLESS:
      pieces = shares("queries", ("batch", video.shape[0]))
      if 0 < self.query_chunk * pieces < num_queries:
        return self._in_chunks(video, video_mask, texts, pairs, deterministic)
      # Texts that do not divide would be fused by every device, all of them.
      texts = _pad_queries(texts, -num_queries % pieces)
    relevance, levels = self._relevance(video, video_mask, texts, deterministic)
    relevance = relevance[:, :num_queries]
    if self.displacement_head is None:
      return Predictions(relevance, None)
    if pairs is None:
      levels = [level[:, :num_queries] for level in levels]
    elif levels[0].shape[1] > 1:
      levels = [_take_queries(level, pairs) for level in levels]
    displacement = self.displacement_head(levels)
    count = relevance.shape[1] if pairs is None else pairs.shape[1]
    shape = (displacement.shape[0], count, *displacement.shape[2:])
    return Predictions(relevance, jnp.broadcast_to(displacement, shape))

  def _relevance(
    self,
    video: jax.Array,
    video_mask: jax.Array,
    texts: Texts,
    deterministic: bool,
  ) -> tuple[jax.Array, list[jax.Array]]:
    """Relevance logits [B, Q, P] and the levels they were read from."""
    seen = video[:, None]
    if self.match is not None:
      said, heard = texts.tokens[..., 0, self.width :], video[..., self.width :]
      agreement = self.match(heard, video_mask, said)
      seen = seen[..., : self.width] + agreement
      texts = Texts(texts.tokens[..., : self.width], texts.mask)
    if self.product:
      said = texts.mean()[..., None, :].astype(self.dtype)
      seen = seen + self.product_projection(seen * said)
    levels, fused_text = self.fusion(
      seen,
      video_mask,
      self._of_kind(texts.tokens, -1),
      texts.mask,
      deterministic,
      self.num_frames or video.shape[-2],
    )
    if self.fusion.kind in TEXTLESS:
      return self._compare(levels, texts), levels
    if self.readout == "text":
      return self.relevance_head([fused_text[..., -1:, :]]), levels
    return self.relevance_head(levels), levels

  def _compare(self, levels: list[jax.Array], texts: Texts) -> jax.Array:
    """Scaled similarity of points [B, 1, P, D] and texts, [B, Q, P]."""
    points = jnp.concatenate(levels, axis=-2)[:, 0].astype(jnp.float32)
    text = texts.mean().astype(jnp.float32)
    if self.similarity == "cosine":
      points, text = unit(points, 1e-12), unit(text, 1e-12)
    else:
      points = points * self.width**-0.5
    text = jnp.broadcast_to(text, (points.shape[0], *text.shape[1:]))
    similarity = jnp.einsum("bpd,bqd->bqp", points, text)
    return similarity * jnp.exp(self.log_scale) + self.relevance_bias

  def _in_chunks(
    self,
    video: jax.Array,
    video_mask: jax.Array,
    texts: Texts,
    pairs: jax.Array | None,
    deterministic: bool,
  ) -> Predictions:
    """As `localize`, `query_chunk` texts at a time, run again backward.

    Of a chunk only its relevance is kept, and the levels of the asked pairs.
    """
    num_queries = texts.tokens.shape[1]
    # Devices that share the texts of a video fuse a piece of a chunk each.
    pieces = shares("queries", ("batch", video.shape[0]))
    num_chunks = -(-num_queries // (self.query_chunk * pieces))
    chunk = -(-num_queries // (num_chunks * pieces)) * pieces

    def split(x: jax.Array) -> jax.Array:
      shape = (x.shape[0], num_chunks, chunk, *x.shape[2:])
      return jnp.moveaxis(x.reshape(shape), 1, 0)

    padded = _pad_queries(texts, num_chunks * chunk - num_queries)
    chunks = jnp.arange(num_chunks) * chunk, jax.tree.map(split, padded)

    def body(module: "UnLoc", picked: Any, inputs: Any) -> tuple[Any, Any]:
      start, texts = inputs
      relevance, levels = module._relevance(
        video, video_mask, texts, deterministic
      )
      if module.displacement_head is None:
        return picked, (relevance, None)
      if pairs is None:
        return picked, (relevance, module.displacement_head(levels))
      return _with_asked(picked, levels, pairs - start), (relevance, None)

    scan = nn.scan(
      nn.remat(body, prevent_cse=False),
      variable_broadcast="params",
      split_rngs={"params": False, "dropout": True},
    )
    picked, (relevance, displacement) = scan(
      self, self._empty_levels(video, pairs), chunks
    )

    def merge(x: jax.Array) -> jax.Array:
      x = jnp.moveaxis(x, 0, 1)
      x = x.reshape(x.shape[0], num_chunks * chunk, *x.shape[3:])
      return x[:, :num_queries]

    if displacement is not None:
      displacement = merge(displacement)
    elif self.displacement_head is not None:
      displacement = self.displacement_head(picked)
    return Predictions(merge(relevance), displacement)

  def _empty_levels(
    self, video: jax.Array, pairs: jax.Array | None
  ) -> list[jax.Array]:
    if pairs is None or self.displacement_head is None:
      return []
    num_frames = self.num_frames or video.shape[1]
    return [
      jnp.zeros((*pairs.shape, length, self.width), self.dtype)
      for length in level_lengths(num_frames, self.fusion.num_levels)
    ]

  def __call__(
    self,
    streams: Mapping[str, jax.Array],
    masks: Mapping[str, jax.Array],
    texts: jax.Array,
    pairs: jax.Array | None = None,
    deterministic: bool = True,
  ) -> Predictions:
    """Streams and texts -> predictions.

    Args:
      streams: By name, [B, ...], see `unloc_jax.data.batch`.
      masks: By name, bool [B, N], False = no token.
      texts: int32 ids [Q, L] ("all") or [B, Qv, L] ("matched"), or float
        embeddings [Q, D] or [B, Qv, D], or tokens of others, with L and E.
      pairs: As of `localize`.
      deterministic: No dropout.
    """
    video = self.encode_video(streams, deterministic)
    mask = self.video_mask(masks)
    encoded = self.encode_text(texts, deterministic)
    return self.localize(video, mask, encoded, pairs, deterministic)


def _pad_queries(texts: Texts, count: int) -> Texts:
  """So many empty texts more, [B, Q + count, L', D]."""

  def pad(x: jax.Array) -> jax.Array:
    return jnp.pad(x, [(0, 0), (0, count)] + [(0, 0)] * (x.ndim - 2))

  return Texts(pad(texts.tokens), pad(texts.mask))


def _with_asked(
  picked: list[jax.Array], levels: list[jax.Array], local: jax.Array
) -> list[jax.Array]:
  """Levels of pairs [B, M], those that this chunk's Q texts have put in."""
  here = (local >= 0) & (local < levels[0].shape[1])
  local = jnp.minimum(local, levels[0].shape[1] - 1)
  return [
    jnp.where(here[..., None, None], _take_queries(level, local), old)
    for level, old in zip(levels, picked, strict=True)
  ]


def _take_queries(level: jax.Array, queries: jax.Array) -> jax.Array:
  """Level [B, Q, N, D] at queries [B, M] -> [B, M, N, D]."""
  index = jnp.maximum(queries, 0)[..., None, None]
  return jnp.take_along_axis(level, index, axis=1)
