"""Clips of sound."""

import numpy as np
import pytest

from tests.recordings import beeps, sound_file, tone  # noqa: F401
from unloc_jax.media import sound
from unloc_jax.media.clips import cut_sound, is_sound
from unloc_jax.media.errors import VideoError

_HIGH = 48_000


@pytest.mark.parametrize("kind", ["wav", "mp3", "ogg", "m4a"])
def test_a_clip_is_what_is_heard_then(kind, sound_file, tmp_path):  # noqa: F811
  samples = beeps(6, [(3, 4)], rate=_HIGH)
  path = sound_file(f"beep.{kind}", [(0, samples)])
  assert is_sound(path)
  out = tmp_path / "clip.m4a"
  cut_sound(path, out, 2.5, 4.5)
  found = sound.read(out)
  loud = np.flatnonzero(np.abs(found.samples) > 0.1) / sound.RATE
  assert (loud[0], loud[-1]) == pytest.approx((0.5, 1.5), abs=0.1)
  assert found.duration == pytest.approx(2, abs=0.2)


def test_nothing_to_cut_is_said(sound_file, tmp_path):  # noqa: F811
  path = sound_file("short.wav", [(0, tone(1, rate=_HIGH))])
  with pytest.raises(VideoError, match="nothing is heard from"):
    cut_sound(path, tmp_path / "clip.m4a", 5, 6)
  assert not (tmp_path / "clip.m4a").exists()


def test_a_video_is_no_sound(sound_file, tmp_path):  # noqa: F811
  video = sound_file("v.mp4", [(0, tone(1, rate=_HIGH))], picture=(1, 10))
  assert not is_sound(video)
  assert not is_sound(tmp_path / "nowhere.wav")
