"""Frames come from a process of its own, within limits, or a line says why."""

import errno
import os
import tempfile

import pytest

from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.pool import Pool
from unloc_jax.use.frames import Decoder, Limits


def test_unreadable_videos_are_told_in_a_line(localizer, tmp_path):
  path = tmp_path / "x.mp4"
  path.write_bytes(b"")
  for name in (path, tmp_path / "none.mp4", tmp_path):
    with pytest.raises(ValueError, match=rf"^{name}: .*; give another file$"):
      localizer.encode_video(name)


def test_a_full_disk_is_named_and_not_the_video(localizer, videos, monkeypatch):
  def run(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  decoder = Decoder(localizer.export.source, Limits())
  monkeypatch.setattr(decoder._pool, "run", run)
  with pytest.raises(
    ValueError, match=f"waits in {tempfile.gettempdir()} .*set TMPDIR$"
  ):
    decoder.frames(videos[0]).__enter__()
  decoder.close()


def test_long_videos_are_not_read_to_their_end(localizer, videos):
  decoder = Decoder(localizer.export.source, Limits(video_seconds=2.0))
  with pytest.raises(
    ValueError, match=r"too long: .* 2 s is the most; cut it$"
  ):
    decoder.frames(videos[3]).__enter__()
  with decoder.frames(videos[2]) as (images, duration):
    assert all(image.startswith(b"\xff\xd8") for image in images)
    assert duration == pytest.approx(1.2, abs=0.1)
  decoder.close()


def test_a_decoder_that_hangs_or_crashes_costs_a_line(localizer, monkeypatch):
  decoder = Decoder(localizer.export.source, Limits(seconds=5))
  shorter = "cut it shorter or make it smaller"
  for reason, detail, advice in (
    (Reason.STALLED, "not read within 5 s", shorter),
    (Reason.CRASHED, "the decoder crashed", "give another file"),
  ):

    def run(*asked, stall_seconds, seconds, told=(reason, detail)):
      assert seconds == 5
      raise VideoError(*told)

    monkeypatch.setattr(Pool, "run", run)
    wanted = f"^a/x.mp4: {reason}: {detail}; {advice}"
    with pytest.raises(ValueError, match=wanted):
      decoder.frames("a/x.mp4").__enter__()
