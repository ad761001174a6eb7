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
