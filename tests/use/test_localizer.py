"""What prediction finds is what evaluation finds; windows; bad questions."""

import copy
import dataclasses
import io
import itertools
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.films import film  # noqa: F401
from tests.use.conftest import TEXTS
from unloc_jax import Localizer
from unloc_jax.use import windows
from unloc_jax.use.encoded import SUFFIX, EncodedVideo, read_index
from unloc_jax.use.questions import TextRows


def rows(moments) -> np.ndarray:
  return np.array([(m.start, m.end, m.score) for m in moments])


@pytest.mark.heavy
@pytest.mark.usefixtures("scored")
def test_moments_are_those_of_evaluation(run, localizer, encoded):
  lines = (run / "results/val/predictions.jsonl").read_text().splitlines()
  videos = {video.video_id: video for video in encoded}
  assert len(lines) == len(videos) * len(TEXTS)
  for line in map(json.loads, lines):
    moments = localizer.localize(videos[line["vid"]], [line["query"]], 100)
    np.testing.assert_allclose(
      rows(moments), line["pred_relevant_windows"], atol=1e-4
    )


def test_answers_do_not_depend_on_what_else_is_asked(localizer, encoded):
  many = [f"sentence number {i}" for i in range(70)]
  together = localizer.ask(encoded[1], many, 3)
  assert [answer.query for answer in together] == many
  for i in (0, 63, 64, 69):
    alone = localizer.ask(encoded[1], [many[i]], 3)[0]
    np.testing.assert_allclose(
      rows(alone.moments), rows(together[i].moments), atol=1e-4
    )
    np.testing.assert_allclose(
      alone.relevance, together[i].relevance, atol=1e-5
    )


def test_fewer_moments_are_the_best_of_more(localizer, encoded):
  """Soft-NMS that stops earlier finds the same."""
  most = localizer.localize(encoded[1], TEXTS[:1], 100)
  for top_k in (1, 8, 9, 33):
    few = localizer.localize(encoded[1], TEXTS[:1], top_k)
    assert len(few) == min(top_k, len(most))
    np.testing.assert_allclose(rows(few), rows(most)[:top_k], atol=1e-5)


def test_moments_are_ranked_differ_and_are_inside_the_video(localizer, encoded):
  best = [m.score for v in encoded[:2] for m in localizer.localize(v, TEXTS, 1)]
  assert abs(best[0] - best[1]) > 1e-6, "texts differ"
  assert abs(best[0] - best[2]) > 1e-6, "videos differ"
  for video in encoded:
    scores = rows(localizer.localize(video, TEXTS[:1], 5))
    assert len(scores) == 5
    assert (np.diff(scores[:, 2]) <= 0).all()
    assert (scores[:, 0] >= 0).all()
    assert (scores[:, 1] <= video.duration + 1e-5).all()
    assert (scores[:, 0] <= scores[:, 1]).all()


def _in_windows(localizer, seconds) -> Localizer:
  """The model, its programs and all, in windows of another length."""
  other = copy.copy(localizer)
  other.export = dataclasses.replace(localizer.export, window_seconds=seconds)
  return other


@pytest.fixture(scope="module")
def short_sighted(localizer) -> Localizer:
  """The model in windows of two seconds."""
  return _in_windows(localizer, 2.0)


def _one(video: EncodedVideo, window: int) -> EncodedVideo:
  """A window as a video of its own, at its place in time."""
  part = slice(window, window + 1)
  return dataclasses.replace(
    video,
    tokens=video.tokens[part],
    token_mask=video.token_mask[part],
    frame_mask=video.frame_mask[part],
    starts=video.starts[part],
    durations=video.durations[part],
    steps=video.steps[part],
  )


def test_a_long_video_is_its_windows_merged_by_hand(short_sighted, videos):
  video = short_sighted.encode_video(videos[3])
  assert video.num_windows == 7
  np.testing.assert_allclose(video.starts, np.arange(7.0))
  (answer,) = short_sighted.ask(video, TEXTS[:1], 100)
  # By hand: soft-NMS over what every window proposes.
  asker, config = short_sighted._asker, short_sighted.export.config
  params = short_sighted._params
  texts = asker._encode(params, TextRows(config).captions(TEXTS[:1]))
  segments, scores = [], []
  for w in range(video.num_windows):
    one = _one(video, w)
    found = asker._fuse(
      params,
      texts,
      one.tokens,
      one.token_mask,
      one.frame_mask,
      one.steps,
      one.durations,
      one.starts.astype(np.float32),
    )
    segments.append(np.asarray(found[1][0, 0]))
    scores.append(np.asarray(found[2][0, 0]))
  merged = _soft_nms(np.concatenate(segments), np.concatenate(scores))
  np.testing.assert_allclose(rows(answer.moments)[:20], merged[:20], atol=1e-4)


def _soft_nms(segments: np.ndarray, scores: np.ndarray) -> np.ndarray:
  scores, out = scores.astype(float).copy(), []
  for _ in range(20):
    best = int(scores.argmax())
    start, end = segments[best]
    out.append((start, end, scores[best]))
    overlap = np.clip(
      np.minimum(end, segments[:, 1]) - np.maximum(start, segments[:, 0]),
      0,
      None,
    )
    lengths = segments[:, 1] - segments[:, 0]
    union = end - start + lengths - overlap
    tiou = np.where((lengths > 0) & (end > start), overlap / union, 0.0)
    scores *= np.exp(-0.5 * tiou**2 / 0.3)
    scores[best] = -1.0
  return np.array(out)


def test_windows_are_videos_of_their_own(short_sighted, videos):
  """Each window's tokens are those of its frames alone; progress is told."""
  told = []
  video = short_sighted.encode_video(videos[3], told.append)
  with short_sighted._decoder.frames(videos[3]) as (images, duration):
    clips = list(windows.clips(short_sighted.export, images, duration, {}))
  assert [clip.start for clip in clips] == video.starts.tolist()
  for window, clip in enumerate(clips):
    shown = jax.tree.map(lambda x: x[None], (clip.streams, clip.masks))
    alone, _ = short_sighted._encode(short_sighted._params, *shown)
    np.testing.assert_array_equal(video.tokens[window], alone[0])
  assert told == sorted(told)
  assert told[-1] == duration == video.duration == pytest.approx(8.0, abs=0.1)


def test_relevance_covers_the_video(short_sighted, videos, encoded, localizer):
  for model, video in (
    (localizer, encoded[3]),
    (short_sighted, short_sighted.encode_video(videos[3])),
  ):
    answer = model.ask(video, TEXTS[:1])[0]
    assert answer.times.shape == answer.relevance.shape
    assert answer.times[0] == 0
    assert video.duration - 1 < answer.times[-1] <= video.duration
    assert ((answer.relevance >= 0) & (answer.relevance <= 1)).all()


def test_detect_ranks_over_labels(localizer, encoded):
  found = localizer.detect(encoded[0], ["run", "jump", "sit"], top_k=30)
  assert {m.query for m in found} == {"run", "jump", "sit"}
  scores = rows(found)[:, 2]
  assert (np.diff(scores) <= 0).all()
  prompt = localizer.localize(encoded[0], ["a video of run"], 1)[0]
  best = next(m for m in found if m.query == "run")
  np.testing.assert_allclose(rows([best]), rows([prompt]), atol=1e-4)


def test_segment_gives_stretches_in_order(localizer, encoded):
  found = localizer.segment(encoded[3], ["run", "jump", "sit"])
  assert found, "the tiny model says nothing; choose another seed"
  for one, following in itertools.pairwise(found):
    assert one.end <= following.start + 1e-6
  assert found[-1].end <= encoded[3].duration + 1e-6


def test_search_ranks_over_all_videos(localizer, encoded, tmp_path):
  for video in encoded:
    video.save(str(tmp_path / f"{video.video_id}{SUFFIX}"))
  found = localizer.search(tmp_path, TEXTS[0], top_k=7)
  assert len(found) == 7
  every = [m for v in encoded for m in localizer.localize(v, TEXTS[:1], 7)]
  every.sort(key=lambda moment: -moment.score)
  assert found == every[:7]


def test_encoded_videos_survive_the_disk_or_are_refused(encoded, tmp_path):
  path = tmp_path / "a" / f"x{SUFFIX}"
  encoded[2].save(str(path))
  loaded = EncodedVideo.load(str(path))
  for field in dataclasses.fields(EncodedVideo):
    one, other = getattr(encoded[2], field.name), getattr(loaded, field.name)
    np.testing.assert_array_equal(one, other)
  whole = path.read_bytes()
  # Objects in a file would be run.
  objects = io.BytesIO()
  np.savez(objects, about=np.array([{"a": 1}], object))
  for broken in (whole[: len(whole) // 2], b"", b"text", objects.getvalue()):
    path.write_bytes(broken)
    with pytest.raises(ValueError, match="not an encoded video"):
      EncodedVideo.load(str(path))
  with pytest.raises(FileNotFoundError, match="no such file"):
    EncodedVideo.load(str(tmp_path / "none"))
  with pytest.raises(FileNotFoundError, match="save encoded videos"):
    read_index(str(tmp_path))


def test_videos_of_another_model_and_no_labels_are_refused(localizer, encoded):
  with pytest.raises(ValueError, match="name some"):
    localizer.detect(encoded[0])
  other = dataclasses.replace(encoded[0], encoder_hash="0123")
  with pytest.raises(ValueError, match="encoded by another model"):
    localizer.localize(other, TEXTS)


@pytest.mark.parametrize(
  ("sentences", "message"),
  [
    ([], "there is none"),
    ([""], "number 1 is empty"),
    (["fine", " \n"], "number 2 is empty"),
    (["&nbsp;\ufeff"], "number 1 is empty"),
    (["\u200b\u2060 "], "number 1 is empty"),
    (["x" * 10_000], "10,000 characters, at most 1,000"),
    ("one text", "give a list of texts, not 'one text'"),
    (b"one text", "give a list"),
    (None, "not None"),
    (7, "not 7"),
    (np.array("one text"), "give a list"),
    (["fine", None], "number 2 is no text but None"),
    ([1.5], "number 1 is no text"),
    (["\ud83d"], "number 1 is not Unicode"),
  ],
)
def test_bad_questions(localizer, encoded, sentences, message):
  with pytest.raises(ValueError, match=f"^sentences: .*{message}"):
    localizer.localize(encoded[0], sentences)
  if str(sentences) != "[]":
    for ask in (localizer.detect, localizer.segment):
      with pytest.raises(ValueError, match=f"^labels: .*{message}"):
        ask(encoded[0], sentences)
  with pytest.raises(ValueError, match=r"^sentence"):
    localizer.search(
      encoded, " " if str(sentences) == "one text" else sentences
    )


@pytest.mark.parametrize("top_k", [0, -1, True, 2.0, float("nan"), "3", None])
def test_bad_counts(localizer, encoded, top_k):
  for ask in (
    lambda: localizer.localize(encoded[0], TEXTS, top_k),
    lambda: localizer.detect(encoded[0], TEXTS, top_k),
    lambda: localizer.search(encoded, TEXTS[0], top_k),
  ):
    with pytest.raises(ValueError, match=r"^top_k: "):
      ask()


def test_bad_videos_and_paths_are_named(localizer, encoded):
  for bad in (None, 3, True, ""):
    with pytest.raises(ValueError, match=r"^path: "):
      localizer.encode_video(bad)
    with pytest.raises(ValueError, match=r"^path: "):
      encoded[0].save(bad)
    with pytest.raises(ValueError, match=r"^folder: "):
      Localizer.from_export(bad)
    with pytest.raises(ValueError, match=r"^video: "):
      localizer.localize(bad, TEXTS)
    if bad != "":
      with pytest.raises(ValueError, match=r"^index: "):
        localizer.search(bad, TEXTS[0])
  with pytest.raises(ValueError, match=r"^index: "):
    localizer.search(encoded[0], TEXTS[0])
  with pytest.raises(ValueError, match=r"^progress: "):
    localizer.encode_video("x.mp4", 3)


def test_texts_are_taken_once(localizer, encoded):
  few, video = np.int64(2), encoded[0]
  for ask in (localizer.localize, localizer.detect):
    assert ask(video, iter(TEXTS), few) == ask(video, list(TEXTS), 2)
  assert localizer.segment(video, iter(TEXTS)) == localizer.segment(
    video, TEXTS
  )
  found = localizer.search(iter(encoded), TEXTS[0], few)
  assert found == localizer.search(encoded, TEXTS[0], 2)


def test_the_only_frame_of_a_video_stands_for_it(
  localizer,
  film,  # noqa: F811
  tmp_path,
):
  """Whole videos of a frame, and windows of a frame of a longer video."""
  for model, count, wanted in (
    (localizer, 1, {(0.0, 0.1)}),
    (_in_windows(localizer, 0.1), 10, {(0.0, 0.5), (0.5, 1.0)}),
  ):
    times = [n / 10 for n in range(count)]
    path = film(tmp_path / f"{count}.mp4", times, base=10, rate=10)
    video = model.encode_video(path)
    answer = model.ask(video, TEXTS[:1], 100)[0]
    found = {tuple(row) for row in rows(answer.moments)[:, :2].round(3)}
    assert found == wanted
    assert len(answer.moments) == len(wanted)
    assert len(answer.times) == len(wanted)
    for moment in model.segment(video, ["run", "jump", "sit"]):
      assert moment.start < moment.end


@pytest.fixture(scope="module")
def of_features(localizer) -> Localizer:
  """The model, told to take features of 16 channels."""
  features = {"embedding_width": 16, "tower_hash": "abc"}
  source = dataclasses.replace(
    localizer.export.source, extract="features", **features
  )
  config = localizer.export.config.copy_and_resolve_references()
  config.streams, config.data.embedding_width = ("embeddings",), 16
  export = dataclasses.replace(
    localizer.export, source=source, config=config, window_seconds=4.0
  )
  return Localizer(export)


def test_features_of_another_tower_are_refused(localizer, of_features):
  with pytest.raises(ValueError, match="takes videos"):
    localizer.encode_features(np.zeros((3, 4)))
  for shape, options, message in (
    ((3, 16), {"tower_hash": "xyz"}, r"tower xyz.*wants abc"),
    ((3, 8), {}, r"shape \(3, 8\).*\[N, 16\]"),
    ((20, 16), {"duration": 20.0}, r"cover 10\.0 s .* video is 20\.0 s"),
    ((20, 16), {"duration": -1}, "^duration: -1 is no number of seconds"),
    ((20, 16), {"duration": float("nan")}, "^duration: nan"),
    ((20, 16), {"duration": 0}, "^duration: 0"),
    ((20, 16), {"video_id": None}, "^video_id"),
  ):
    with pytest.raises(ValueError, match=message):
      of_features.encode_features(np.zeros(shape), **options)
  for features in (np.full((3, 16), np.nan), [["a"] * 16]):
    with pytest.raises(ValueError, match="features"):
      of_features.encode_features(features)
  with pytest.raises(ValueError, match="takes features, not videos"):
    of_features.encode_video("x.mp4")


def test_features_are_localized(of_features):
  features = np.random.default_rng(0).normal(size=(20, 16))
  video = of_features.encode_features(features, tower_hash="abc")
  assert video.num_windows == 4
  assert video.duration == 10.0
  assert of_features.localize(video, TEXTS, 2)


def test_importing_the_package_is_light():
  code = (
    "import sys, unloc_jax; "
    "assert not {'jax', 'tensorflow', 'av'} & set(sys.modules); "
    "assert 'Localizer' in unloc_jax.__all__"
  )
  subprocess.run([sys.executable, "-c", code], check=True)
