"""Clips show what a player shows: upright, from the right moment on."""

import av
import numpy as np
import pytest

from unloc_jax.media.clips import cut_clip
from unloc_jax.media.video import FrameStream

RATE = 5.0


def shown(path) -> list[np.ndarray]:
  return [image for _, image in FrameStream(path, RATE, 64)]


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


def test_a_clip_lasts_as_long_as_the_moment_and_is_even(film, tmp_path):
  times = [i / 10 for i in range(80)]
  odd = {"size": (33, 47), "pix_fmt": "yuv444p", "sound": True}
  path = film(tmp_path / "a" / "a.mkv", times, **odd)
  clip = tmp_path / "b" / "clip.mp4"
  cut_clip(path, clip, 2.0, 5.0)
  with av.open(str(clip)) as container:
    context = container.streams.video[0].codec_context
    assert (context.width, context.height) == (34, 48)
    assert sum(1 for _ in container.decode(video=0)) == 30
  with av.open(str(clip)) as container:
    heard = sum(frame.samples for frame in container.decode(audio=0))
  assert heard / 8000 == pytest.approx(3.0, abs=0.4)
  assert list(clip.parent.iterdir()) == [clip]


TIMES = [i / 25 for i in range(100)]


def numbers(path, read_number) -> list[int]:
  with av.open(str(path)) as container:
    return [
      read_number(frame.to_ndarray(format="rgb24"))
      for frame in container.decode(video=0)
    ]


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
  tmp_path, film, read_number, extension, codec, options
):
  """Also where nothing but reading all of it tells where a moment is."""
  path = tmp_path / f"a.{extension}"
  film(path, TIMES, codec=codec, base=25, options=options)
  clip = tmp_path / "clip.mp4"
  for start, end in ((0.0, 0.5), (1.29, 1.9), (2.0, 3.0), (3.5, 9.0)):
    cut_clip(path, clip, start, end)
    wanted = [i for i, t in enumerate(TIMES) if start <= t < end]
    assert numbers(clip, read_number) == wanted
    with av.open(str(clip)) as container:
      assert container.duration / 1e6 == pytest.approx(
        min(end, 4.0) - start, abs=0.03
      )


def test_clips_of_joined_films(tmp_path, film, read_number):
  part = film(tmp_path / "a.ts", TIMES, base=25, sound=True).read_bytes()
  path, clip = tmp_path / "b.ts", tmp_path / "clip.mp4"
  path.write_bytes(part * 2)
  begins = next(t for t, i in FrameStream(path, 100, 0) if read_number(i) == 1)
  cut_clip(path, clip, begins + 3.5, begins + 4.5)
  shown = numbers(clip, read_number)
  assert shown[:3] + shown[-3:] == [89, 90, 91, 11, 12, 13]
  assert len(shown) == 25


@pytest.mark.parametrize(
  "sounds",
  [
    [("pcm_s16le", 4000)],
    [("pcm_s16le", 192000)],
    [("broken", 8000), ("aac", 44100)],
  ],
)
def test_sound_is_had_where_it_can_be(tmp_path, film, sounds):
  forms = [("aac" if c == "broken" else c, rate) for c, rate in sounds]
  path = film(
    tmp_path / "a.mkv", TIMES, base=25, sounds=forms, sound_first=True
  )
  if len(sounds) > 1:
    # Of a codec that nobody knows.
    content = path.read_bytes()
    path.write_bytes(content.replace(b"A_AAC", b"A_XXX", 1))
  cut_clip(path, tmp_path / "clip.mp4", 1.0, 2.0)
  with av.open(str(tmp_path / "clip.mp4")) as clip:
    assert sum(1 for _ in clip.decode(video=0)) == 25
  with av.open(str(tmp_path / "clip.mp4")) as clip:
    seconds = sum(f.samples / f.sample_rate for f in clip.decode(audio=0))
  assert seconds == pytest.approx(1.0, abs=0.3)


def test_sound_that_cannot_be_decoded_costs_no_clip(tmp_path, film):
  path = film(tmp_path / "a.mkv", TIMES, base=25, sound=True)
  path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XXX"))
  cut_clip(path, tmp_path / "clip.mp4", 1.0, 2.0)
  with av.open(str(tmp_path / "clip.mp4")) as clip:
    assert not clip.streams.audio


def test_a_picture_that_stays_is_a_clip(tmp_path, film, read_number):
  path = film(tmp_path / "a.mkv", [0, 10, 20], base=1000)
  cut_clip(path, tmp_path / "clip.mp4", 12, 15)
  assert numbers(tmp_path / "clip.mp4", read_number) == [1]
  with av.open(str(tmp_path / "clip.mp4")) as clip:
    assert clip.duration / 1e6 == pytest.approx(3.0, abs=0.01)


def test_the_last_picture_stays_to_the_end_of_the_moment(tmp_path, film):
  """Where those before it came faster, and the encoder put them in order."""
  times = [0, 0.5, 0.6, 0.61, 0.62, 1.12, 1.14, 9]
  path = film(tmp_path / "a.mkv", times, base=1000)
  cut_clip(path, tmp_path / "clip.mp4", 0, 4)
  with av.open(str(tmp_path / "clip.mp4")) as clip:
    assert clip.duration / 1e6 == pytest.approx(4.0, abs=0.01)


@pytest.mark.parametrize(("start", "end"), [(100.0, 101.0), (2.0, 2.0)])
def test_a_moment_without_a_frame_is_told(film, tmp_path, start, end):
  path = film(tmp_path / "a.mp4", [i / 10 for i in range(40)])
  with pytest.raises(ValueError, match="no frame is shown"):
    cut_clip(path, tmp_path / "clip.mp4", start, end)
  assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_video_is_told(tmp_path):
  path = tmp_path / "x.mp4"
  path.write_bytes(b"no video")
  with pytest.raises(ValueError, match="cannot be cut"):
    cut_clip(path, tmp_path / "clips" / "clip.mp4", 0.0, 1.0)
