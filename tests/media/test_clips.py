"""Clips show what a player shows, and sound as it, from the right moment on."""

import types

import av
import numpy as np
import pytest

from tests.films import TIMES
from tests.recordings import beeps, tone
from unloc_jax.media import sound
from unloc_jax.media.clips import cut_clip, cut_sound, is_sound
from unloc_jax.media.errors import VideoError
from unloc_jax.media.video import FrameStream


def shown(path) -> list[np.ndarray]:
  return [image for _, image in FrameStream(path, 5.0, 64)]


@pytest.mark.parametrize(
  "name",
  [
    "real_rotate_90.mp4",
    "real_vfr.mp4",
    "real_start_time_5s.mkv",
    "real_oddsize_321x179_yuv444.mp4",
  ],
)
def test_clips_of_real_videos_show_what_the_video_shows(shared, tmp_path, name):
  source = shared / "data" / "videos" / name
  cut_clip(source, tmp_path / "clip.mp4", 1.0, 2.0)
  clip, whole = shown(tmp_path / "clip.mp4"), shown(source)[5:10]
  assert abs(len(clip) - len(whole)) <= 1
  for ours, theirs in zip(clip[1:-1], whole[1:-1], strict=False):
    high, wide = np.minimum(ours.shape, theirs.shape)[:2]
    # The same way up, to a pixel that an odd side was given.
    assert abs(ours.shape[0] - theirs.shape[0]) <= 2
    assert abs(ours.shape[1] - theirs.shape[1]) <= 2
    error = np.abs(ours[:high, :wide].astype(int) - theirs[:high, :wide])
    turned = np.abs(ours[::-1][:high, :wide].astype(int) - theirs[:high, :wide])
    assert error.mean() < 0.5 * turned.mean() + 2


@pytest.fixture
def cut(tmp_path, read_number):
  """Cuts a clip, which is alone in its folder, and tells what is in it."""

  def cut_out(path, start, end):
    clip = tmp_path / "clips" / "clip.mp4"
    cut_clip(path, clip, start, end)
    assert list(clip.parent.iterdir()) == [clip]
    found = types.SimpleNamespace(heard=None)
    with av.open(str(clip)) as container:
      frames = [
        frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)
      ]
      found.numbers = [read_number(frame) for frame in frames]
      found.shape = frames[0].shape
      found.seconds = container.duration / 1e6
    with av.open(str(clip)) as container:
      if container.streams.audio:
        heard = container.decode(audio=0)
        found.heard = sum(frame.samples / frame.sample_rate for frame in heard)
    return found

  return cut_out


def test_a_clip_lasts_as_long_as_the_moment_and_is_even(film, tmp_path, cut):
  times = [i / 10 for i in range(80)]
  odd = {"size": (33, 47), "pix_fmt": "yuv444p", "sound": True}
  clip = cut(film(tmp_path / "a.mkv", times, **odd), 2.0, 5.0)
  assert clip.shape == (48, 34, 3)
  assert len(clip.numbers) == 30
  assert clip.heard == pytest.approx(3.0, abs=0.4)


@pytest.mark.parametrize(
  ("extension", "codec", "options"),
  [
    ("ts", "libx264", {"g": "20"}),
    ("ts", "libx265", {"x265-params": "open-gop=1:keyint=20:log-level=none"}),
    ("m2ts", "libx264", {"g": "20"}),
    ("mpg", "mpeg2video", {"g": "12", "bf": "2"}),
    ("avi", "libx264", {"g": "20"}),
    ("avi", "mpeg4", {"g": "20", "bf": "2"}),
    ("mp4", "libx264", {"x264-params": "open-gop=1:keyint=20:bframes=4"}),
    ("mkv", "libx264", {"g": "1000"}),
    ("flv", "flv", {}),
    ("264", "libx264", {"g": "20"}),
  ],
)
def test_clips_show_exactly_the_frames_of_the_moment(
  filmed, cut, extension, codec, options
):
  """Also where nothing but reading all of it tells where a moment is."""
  path = filmed(f"a.{extension}", 100, codec=codec, options=options)
  for start, end in ((0.0, 0.5), (1.29, 1.9), (2.0, 3.0), (3.5, 9.0)):
    clip = cut(path, start, end)
    wanted = [i for i, t in enumerate(TIMES[:100]) if start <= t < end]
    assert clip.numbers == wanted
    assert clip.seconds == pytest.approx(min(end, 4.0) - start, abs=0.03)


def test_clips_of_joined_films(filmed, read_number, cut):
  path = filmed("a.ts", 100, sound=True)
  path.write_bytes(path.read_bytes() * 2)
  begins = next(t for t, i in FrameStream(path, 100, 0) if read_number(i) == 1)
  found = cut(path, begins + 3.5, begins + 4.5).numbers
  assert found[:3] + found[-3:] == [89, 90, 91, 11, 12, 13]
  assert len(found) == 25


@pytest.mark.parametrize(
  ("sounds", "heard"),
  [
    ([("pcm_s16le", 4000)], 1.0),
    ([("pcm_s16le", 192000)], 1.0),
    ([("broken", 8000), ("aac", 44100)], 1.0),
    ([("broken", 8000)], None),
  ],
)
def test_sound_is_had_where_it_can_be(filmed, cut, sounds, heard):
  forms = [("aac" if c == "broken" else c, rate) for c, rate in sounds]
  path = filmed("a.mkv", 100, sounds=forms, sound_first=True)
  if sounds[0][0] == "broken":  # Of a codec that nobody knows.
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XXX", 1))
  clip = cut(path, 1.0, 2.0)
  assert len(clip.numbers) == 25
  assert clip.heard == (heard and pytest.approx(heard, abs=0.3))


@pytest.mark.parametrize(
  ("times", "start", "end", "numbers"),
  [
    ([0, 10, 20], 12, 15, [1]),
    # Those before it came faster, and the encoder put them in order.
    ([0, 0.5, 0.6, 0.61, 0.62, 1.12, 1.14, 9], 0, 4, [0, 1, 2, 3, 4, 5, 6]),
  ],
)
def test_a_picture_stays_to_the_end_of_the_moment(
  tmp_path, film, cut, times, start, end, numbers
):
  clip = cut(film(tmp_path / "a.mkv", times), start, end)
  assert clip.numbers == numbers
  assert clip.seconds == pytest.approx(end - start, abs=0.01)


def test_what_gives_no_clip_is_told(film, tmp_path):
  path, none = tmp_path / "a.mp4", tmp_path / "none.mp4"
  film(path, [i / 10 for i in range(40)])
  none.write_bytes(b"no video")
  for source, start, end, says in (
    (path, 100.0, 101.0, "no frame is shown"),
    (path, 2.0, 2.0, "no frame is shown"),
    (none, 0.0, 1.0, "cannot be cut"),
  ):
    with pytest.raises(ValueError, match=says):
      cut_clip(source, tmp_path / "clip.mp4", start, end)
  assert sorted(tmp_path.iterdir()) == [path, none]


@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "m4a"])
def test_a_clip_of_sound_is_what_is_heard_then(kind, sound_file, tmp_path):
  path = sound_file(f"beep.{kind}", [(0, beeps(6, [(3, 4)], rate=48_000))])
  assert is_sound(path)
  out = tmp_path / "clip.m4a"
  cut_sound(path, out, 2.5, 4.5)
  found = sound.read(out)
  loud = np.flatnonzero(np.abs(found.samples) > 0.1) / sound.RATE
  assert (loud[0], loud[-1]) == pytest.approx((0.5, 1.5), abs=0.1)
  assert found.duration == pytest.approx(2, abs=0.2)


def test_what_gives_no_clip_of_sound(sound_file, tmp_path):
  second = [(0, tone(1, rate=48_000))]
  with pytest.raises(VideoError, match="nothing is heard from"):
    cut_sound(sound_file("short.wav", second), tmp_path / "clip.m4a", 5, 6)
  assert not (tmp_path / "clip.m4a").exists()
  assert not is_sound(sound_file("v.mp4", second, picture=(1, 10)))
  assert not is_sound(tmp_path / "nowhere.wav")
