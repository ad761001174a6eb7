"""Sound of any file, true to the file's clock."""

import av
import numpy as np
import pytest

from tests.recordings import CODECS, beeps, tone
from unloc_jax.media import sound
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.pool import Pool

_HIGH = 48_000


def loud_span(found, floor=0.1):
  """First and last second that is loud."""
  loud = np.flatnonzero(np.abs(found.samples) > floor)
  return loud[0] / sound.RATE, loud[-1] / sound.RATE


@pytest.mark.parametrize("kind", CODECS)
def test_every_container_gives_the_same_sound(kind, sound_file):
  samples = beeps(3, [(1, 2)], rate=_HIGH)
  path = sound_file(f"beep.{kind}", [(0, samples)])
  found = sound.read(path)
  assert found.duration == pytest.approx(3, abs=0.06)
  assert loud_span(found) == pytest.approx((1, 2), abs=0.03)
  middle = found.samples[round(1.2 * sound.RATE) : round(1.8 * sound.RATE)]
  assert np.abs(middle).max() == pytest.approx(0.5, abs=0.06)
  assert found.samples.dtype == np.float32
  assert found.heard(np.arange(4)).tolist() == [True] * 3


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_any_rate_and_layout(rate, sound_file):
  samples = beeps(2, [(0.5, 1)], rate=rate)
  path = sound_file("beep.wav", [(0, samples)], rate=rate, layout="mono")
  found = sound.read(path)
  assert found.duration == pytest.approx(2, abs=0.002)
  assert loud_span(found) == pytest.approx((0.5, 1), abs=0.005)


def test_late_and_shorter_than_the_picture(sound_file):
  samples = tone(2, rate=_HIGH)
  path = sound_file("late.mp4", [(1.5, samples)], picture=(6, 10))
  found = sound.read(path)
  assert loud_span(found) == pytest.approx((1.5, 3.5), abs=0.06)
  assert not found.samples[: sound.RATE].any()
  heard = found.heard(np.arange(0, 6.5, 0.5))
  assert heard.tolist() == [False] * 3 + [True] * 4 + [False] * 5


def test_a_gap_is_silence_that_is_not_heard(sound_file):
  pieces = [(0, tone(1, rate=_HIGH)), (3, tone(1, rate=_HIGH))]
  found = sound.read(sound_file("gap.mkv", pieces))
  assert found.duration == pytest.approx(4, abs=0.01)
  assert found.heard(np.arange(0, 4.5, 0.5)).tolist() == (
    [True] * 2 + [False] * 4 + [True] * 2
  )
  middle = found.samples[round(1.1 * sound.RATE) : round(2.9 * sound.RATE)]
  assert not middle.any()


def test_a_drifting_track_follows_its_time_stamps(sound_file):
  """A recorder whose clock is 5 % slow: a second of samples lasts 1.05 s."""
  piece = beeps(0.1, [(0, 0.02)], rate=_HIGH)
  pieces = [(i * 0.105, piece) for i in range(100)]
  found = sound.read(sound_file("drift.mkv", pieces))
  assert found.duration == pytest.approx(10.5, abs=0.05)
  loud = np.flatnonzero(np.abs(found.samples) > 0.2) / sound.RATE
  starts = loud[np.flatnonzero(np.diff(loud, prepend=-1) > 0.05)]
  assert len(starts) == 100
  np.testing.assert_allclose(starts, np.arange(100) * 0.105, atol=0.025)
  assert found.heard(np.arange(0, 10.5, 0.25)).all()


def test_what_cannot_be_heard_says_so(film, sound_file, tmp_path):
  mute = film(tmp_path / "mute.mp4", [i / 10 for i in range(10)], rate=10)
  notes = tmp_path / "notes.txt"
  notes.write_text("no sound at all")
  cut = sound_file("whole.wav", [(0, tone(6, rate=_HIGH))])
  cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
  long = sound_file("long.ogg", [(0, tone(8, rate=_HIGH))])
  for path, reason, says in (
    (mute, Reason.NO_SOUND, "no sound: it has no sound track"),
    (notes, Reason.NOT_A_VIDEO, "not a video"),
    (tmp_path / "nowhere.wav", Reason.MISSING, "missing"),
    (cut, Reason.TRUNCATED, "truncated"),
    (long, Reason.TOO_LONG, "too long: more than 7 s"),  # Before it is read
  ):
    with pytest.raises(VideoError, match=says) as error:
      sound.read(path, most=7)
    assert error.value.reason is reason


def test_in_a_guarded_process(sound_file, tmp_path):
  path = sound_file("beep.mp3", [(0, tone(1, rate=_HIGH))])
  with Pool(1) as pool:
    spans = pool.run(sound.write, str(path), str(tmp_path / "out.f32"))
  found = sound.load(str(tmp_path / "out.f32"), spans)
  np.testing.assert_array_equal(found.samples, sound.read(path).samples)


def test_parts_outside_are_silence():
  samples = np.ones(10, np.float32)
  whole = sound.Sound(samples, np.array([[0, 10]]))
  assert whole.part(-2, 4).tolist() == [0, 0, 1, 1]
  assert whole.part(8, 4).tolist() == [1, 1, 0, 0]
  assert whole.part(20, 2).tolist() == [0, 0]


@pytest.mark.parametrize("first", ["empty", "silent"])
def test_the_first_track_that_can_be_heard(tmp_path, first):
  path, samples = tmp_path / "two.mkv", tone(1, rate=_HIGH)
  silent = {} if first == "empty" else {0: 0 * samples}
  write_tracks(path, silent | {1: samples})
  assert loud_span(sound.read(path)) == pytest.approx((0, 1), abs=0.01)
  if silent:
    write_tracks(path, silent)
    with pytest.raises(VideoError, match="no sound: it is silent throughout"):
      sound.read(path)


def write_tracks(path, tracks):
  """A file of two tracks, and samples at 48 kHz of some of them."""
  with av.open(str(path), "w") as out:
    made = [out.add_stream("pcm_s16le", rate=_HIGH) for _ in range(2)]
    for number, samples in tracks.items():
      whole = np.repeat((samples * 32767).astype(np.int16), 2)[None]
      frame = av.AudioFrame.from_ndarray(whole, "s16")
      frame.sample_rate, frame.pts = _HIGH, 0
      out.mux(made[number].encode(frame))
