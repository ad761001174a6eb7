"""Any video, any sentence: where in the video it happens.

    from unloc_jax import Localizer
    localizer = Localizer.from_export("exports/mr")
    video = localizer.encode_video("match.mp4")
    moments = localizer.localize(video, ["a player scores"], top_k=5)

A video is encoded once and asked many times. What is found is what
evaluation finds: frames, model and decoding are the same code.
"""

import contextlib
import functools
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from unloc_jax.models.unloc import UnLoc
from unloc_jax.task.sampling import Sampling
from unloc_jax.training.state import Parts, nest
from unloc_jax.use import exports, naming, readers, windows
from unloc_jax.use.answers import Answer, Moment, rank, spans
from unloc_jax.use.asking import Asker
from unloc_jax.use.encoded import EncodedVideo, read_index
from unloc_jax.use.frames import DEFAULT_LIMITS, Decoder, Limits
from unloc_jax.use.questions import (
  TextRows,
  checked_count,
  checked_path,
  checked_seconds,
  checked_text,
  checked_texts,
)


def _encode(
  parts: Parts,
  params: Mapping[str, jax.Array],
  streams: Mapping[str, jax.Array],
  masks: Mapping[str, jax.Array],
) -> tuple[jax.Array, jax.Array]:
  """Tokens [B, S, D] of streams, and their mask [B, S]."""

  def run(model: UnLoc) -> tuple[jax.Array, jax.Array]:
    return model.encode_video(streams), model.video_mask(masks)

  made: Any = parts.model.apply(nest(params), method=run)
  return made


class Localizer:
  """A trained model, ready to be asked; see the module's example.

  Made by `from_export`. Safe to share between threads. `export` is what the
  model's folder says, `labels` the classes it was trained on, () for captions.
  """

  asker: ClassVar[type[Asker]] = Asker

  def __init__(
    self,
    export: exports.Export,
    limits: Limits = DEFAULT_LIMITS,
    text_weights: str = "",
  ):
    parts = Parts.from_config(export.config)
    self.export = export
    self.labels = export.labels
    self._params = jax.device_put(export.params(parts))
    self._asker = self.asker(parts, self._params)
    self._encode = jax.jit(functools.partial(_encode, parts))
    self._decoder = Decoder(export.source, limits)
    self._extractor = export.extractor()
    self._texts = TextRows(export.config, text_weights)
    weakref.finalize(self, self._decoder.close)

  @classmethod
  def from_export(
    cls,
    folder: str | os.PathLike[str],
    limits: Limits = DEFAULT_LIMITS,
    text_weights: str = "",
  ) -> "Localizer":
    """Loads what `python -m unloc_jax.export` wrote.

    A model that knows sentences by heart reads other ones with the encoder in
    the folder `text_weights`, by default weights/minilm.

    Raises FileNotFoundError where the folder holds no export, ValueError where
    it is broken or of a newer version.
    """
    found = exports.read(checked_path(folder, "folder"))
    return cls(found, limits, text_weights)

  def encode_video(
    self,
    path: str | os.PathLike[str],
    progress: Callable[[float], object] | None = None,
  ) -> EncodedVideo:
    """Reads and encodes a video file of any length, a window at a time.

    `progress` is called with the seconds encoded so far. Raises ValueError
    where it cannot be read, or the model takes features.
    """
    path = checked_path(path, "path")
    if progress is not None and not callable(progress):
      raise ValueError(f"progress: {progress!r:.80} cannot be called")
    source, config = self.export.source, self.export.config
    if source.extract == "features":
      raise ValueError(
        f"{path}: this model takes features, not videos; it needs the "
        f"extractor that made them ({source.tower_hash or 'of no name'}): give "
        "files of its features in place of the video (docs/data.md)"
      )
    others = readers.open_streams(path, config)
    with contextlib.ExitStack() as opened:
      frames: Iterable[Any] = ()
      duration, is_sound = 0.0, source.extract == "sound"
      if not is_sound:
        frames, duration = opened.enter_context(self._decoder.frames(path))
      if self._extractor is not None:
        # Pictures without sound are asked all the same.
        with contextlib.suppress(*() if is_sound else (ValueError,)):
          sound = self._decoder.sound(path, self._extractor)
          heard = opened.enter_context(sound)
          others["sound"] = readers.of_sound(heard, config, source.frame_rate)
          if is_sound:
            frames, duration = range(len(heard.mask)), heard.duration
      clips = windows.clips(self.export, frames, duration, others)
      return self._encoded(naming.stem(path), clips, progress)

  def encode_features(
    self,
    features: np.ndarray,
    *,
    video_id: str = "features",
    duration: float | None = None,
    tower_hash: str | None = None,
  ) -> EncodedVideo:
    """Encodes features of a video, for models that were trained on them.

    Args:
      features: float32 [N, D_in], one per 1 / `export.source.frame_rate` s.
      video_id: Name of the video.
      duration: Seconds; by default what the features cover.
      tower_hash: The tower they are of, where it is known.

    Raises ValueError where they are not those of the model's tower.
    """
    checked_text(video_id, "video_id")
    if duration is not None:
      duration = checked_seconds(duration, "duration")
    try:
      rows = np.asarray(features, np.float32)
    except (TypeError, ValueError) as error:
      raise ValueError(f"features: no array of numbers ({error})") from error
    source, shape = self.export.source, rows.shape
    if source.extract != "features":
      raise ValueError(
        f"{video_id}: this model takes videos, not features; use encode_video"
      )
    if len(shape) != 2 or shape[1] != source.embedding_width or not shape[0]:
      raise ValueError(
        f"{video_id}: features of shape {shape}, but the model wants "
        f"[N, {source.embedding_width}]; extract them with its tower"
      )
    if not np.isfinite(rows).all():
      raise ValueError(f"{video_id}: not all features are finite numbers")
    if tower_hash not in (None, source.tower_hash):
      raise ValueError(
        f"{video_id}: features of tower {tower_hash}, but the model wants "
        f"{source.tower_hash}; extract them with its tower"
      )
    covered = shape[0] / source.frame_rate
    # Extractors leave out up to a window's length at the end.
    if duration and abs(covered - duration) > max(2.0, 0.1 * duration):
      raise ValueError(
        f"{video_id}: {shape[0]} features cover {covered:.1f} s at the model's "
        f"{source.frame_rate:g} a second, but the video is {duration:.1f} s; "
        "extract them at that rate"
      )
    length = covered if duration is None else duration
    clips = windows.clips(self.export, rows, length, {})
    return self._encoded(video_id, clips)

  def _encoded(
    self,
    video_id: str,
    clips: Iterable[windows.Clip],
    progress: Callable[[float], object] | None = None,
  ) -> EncodedVideo:
    tokens, token_masks, seen = [], [], []
    for clip in clips:
      shown = jax.tree.map(lambda x: x[None], (clip.streams, clip.masks))
      made, mask = self._encode(self._params, *shown)
      tokens.append(np.asarray(made, np.float32))
      token_masks.append(np.asarray(mask))
      seen.append(clip[2:])  # Pixels are not kept.
      if progress is not None:
        progress(clip.start + clip.duration)
    masks, starts, durations, counts = zip(*seen, strict=True)
    rates = np.full(len(seen), self.export.source.frame_rate, np.float32)
    sampling = Sampling.from_config(self.export.config)
    steps = sampling.seconds_per_position(np.array(counts, np.int32), rates)
    return EncodedVideo(
      video_id=video_id,
      duration=starts[-1] + durations[-1],
      tokens=np.concatenate(tokens),
      token_mask=np.concatenate(token_masks),
      frame_mask=np.stack(masks),
      starts=np.array(starts),
      durations=np.array(durations, np.float32),
      steps=np.asarray(steps),
      encoder_hash=self.export.encoder_hash,
    )

  def ask(
    self,
    video: EncodedVideo,
    sentences: Iterable[str],
    top_k: int = 5,
    features: Sequence[np.ndarray] | None = None,
  ) -> list[Answer]:
    """The `top_k` moments of each sentence, and the relevance of all frames.

    A model that was trained on features of texts takes these, float32 [L, E] of
    each sentence.

    Raises ValueError where a sentence is empty or too long, the video was
    encoded by another model, or the model finds no moments.
    """
    self._check(video)
    asked = checked_texts(sentences, "sentences")
    if not asked:
      raise ValueError("sentences: there is none; give at least one")
    top_k = checked_count(top_k, "top_k")
    if features is None:
      texts = self._texts.captions(asked)
    else:
      texts = self._texts.given(features, len(asked))
    return self._asker.moments(video, asked, texts, top_k)

  def localize(
    self, video: EncodedVideo, sentences: Iterable[str], top_k: int = 5
  ) -> list[Moment]:
    """Moments of each sentence in turn, the best first; see `ask`."""
    answers = self.ask(video, sentences, top_k)
    return [moment for answer in answers for moment in answer.moments]

  def detect(
    self, video: EncodedVideo, labels: Iterable[str] = (), top_k: int = 100
  ) -> list[Moment]:
    """The `top_k` best moments where anything of a list of labels happens.

    Labels are names of any actions, put into the model's prompts; by default
    those it was trained on. Raises ValueError as `ask` does, and where there
    are none.
    """
    asked, texts = self._prompts(video, labels)
    top_k = checked_count(top_k, "top_k")
    return rank(self._asker.moments(video, asked, texts, top_k), top_k)

  def segment(
    self, video: EncodedVideo, labels: Iterable[str] = ()
  ) -> list[Moment]:
    """Cuts a video into stretches of one label each, in order of time.

    They do not overlap; where no label is likelier than not, there is none.
    The score is the mean relevance. Labels and errors are those of `detect`.
    """
    asked, texts = self._prompts(video, labels)
    times, logits = self._asker.logits(video, texts)
    cost = self.export.config.decode.switch_cost
    return spans(video.video_id, asked, times, logits, video.duration, cost)

  def search(
    self,
    index: str | os.PathLike[str] | Iterable[EncodedVideo],
    sentence: str,
    top_k: int = 10,
  ) -> list[Moment]:
    """The `top_k` best moments of a sentence in many videos.

    The index is encoded videos, or the folder of saved ones (`*.encoded.npz`;
    FileNotFoundError where it holds none). Errors are those of `ask`.
    """
    checked_text(sentence, "sentence")
    top_k = checked_count(top_k, "top_k")
    if isinstance(index, (str, os.PathLike)):
      index = read_index(os.fspath(index))
    elif isinstance(index, EncodedVideo) or not isinstance(index, Iterable):
      raise ValueError("index: give a folder, or a list of encoded videos")
    found = (self.ask(video, [sentence], top_k)[0] for video in index)
    return rank(found, top_k)

  def known_labels(self, labels: Iterable[str]) -> tuple[str, ...]:
    """The labels, else those it was trained on; ValueError where on none."""
    chosen = checked_texts(labels, "labels") or self.labels
    if not chosen:
      raise ValueError(
        "labels: the model was trained on captions and has none of its own; "
        "name some"
      )
    return chosen

  def _prompts(
    self, video: EncodedVideo, labels: Iterable[str]
  ) -> tuple[tuple[str, ...], np.ndarray]:
    """The labels that are asked of a video, and their prompts."""
    self._check(video)
    chosen = self.known_labels(labels)
    return chosen, self._texts.labels(chosen)

  def _check(self, video: EncodedVideo) -> None:
    if not isinstance(video, EncodedVideo):
      raise ValueError(f"video: {video!r:.80} is not what encode_video returns")
    mine, theirs = self.export.encoder_hash, video.encoder_hash
    if theirs != mine:
      raise ValueError(
        f"{video.video_id}: encoded by another model (features of tower "
        f"{theirs[:12]}, this one is {mine[:12]}); encode it again"
      )
