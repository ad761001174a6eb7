"""Whatever is wrong with a video is said; nothing crashes, hangs or is cut."""

import contextlib
import os
import pickle
import random

import av
import pytest

from tests.films import count, fault, noise
from unloc_jax.media import video
from unloc_jax.media.errors import Reason, VideoError

EXPECTED = {
  "decord_corrupted.mp4": Reason.DAMAGED,
  "mp4parse_chunk_out_of_range.mp4": Reason.UNDECODABLE,
  "random_bytes.mp4": Reason.NOT_A_VIDEO,
  "real_audio_only.mp4": Reason.NO_VIDEO_STREAM,
  "text_as_mp4.mp4": Reason.NOT_A_VIDEO,
  "torchvision_damaged_jpeg_bad_huffman.jpg": Reason.NOT_A_VIDEO,
  "torchvision_damaged_jpeg_corrupt.jpg": Reason.NOT_A_VIDEO,
  "trunc_mp4_60pct.mp4": Reason.TRUNCATED,
  "zero_length.mp4": Reason.EMPTY,
}
CUT = {"TRUNCATED", "DAMAGED", "UNDECODABLE", "NO_VIDEO_STREAM"}


def test_malformed_files(shared):
  folder = shared / "data" / "malformed"
  whole = folder / "moviepy_no_duration.webm"
  errors = {p.name: fault(p) for p in folder.iterdir() if p != whole}
  assert {name: error.reason for name, error in errors.items()} == EXPECTED
  stream = video.FrameStream(whole, 10, 64)
  assert len(list(stream)) == 50
  assert stream.duration == pytest.approx(4.938)
  assert "states no duration" in stream.remarks[0]


def test_what_is_not_a_file(tmp_path):
  error = fault(tmp_path / "none.mp4")
  assert error.reason == Reason.MISSING
  copy = pickle.loads(pickle.dumps(error))
  assert (copy.reason, str(copy)) == (error.reason, str(error))
  (tmp_path / "folder.mp4").mkdir()
  os.mkfifo(tmp_path / "pipe.mp4")
  (tmp_path / "zero.mp4").symlink_to("/dev/zero")
  (tmp_path / "self.mp4").symlink_to("self.mp4")
  for name in ("folder.mp4", "pipe.mp4", "zero.mp4", "self.mp4"):
    assert fault(tmp_path / name).reason == Reason.NOT_A_FILE
  assert fault("/proc/kmsg").reason in (Reason.EMPTY, Reason.MISSING)
  for url in (
    "http://127.0.0.1:1/a.mp4",
    "rtsp://a/b?c=*",
    "file:///etc/hosts",
  ):
    assert "download it first" in str(fault(url))


def test_a_playlist_does_not_open_other_files(tmp_path, film):
  film(tmp_path / "secret.ts", [0, 0.1, 0.2])
  path = tmp_path / "list.mp4"
  path.write_text(
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"
  )
  assert fault(path).reason == Reason.NOT_A_VIDEO


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_a_hole_in_the_middle_is_damage(filmed, extension):
  form = {"images": noise(150), "options": {"g": "10"}}
  path = filmed(f"a.{extension}", 150, **form)
  content = bytearray(path.read_bytes())
  middle, hole = len(content) // 2, len(content) // 6
  content[middle : middle + hole] = bytes(hole)
  path.write_bytes(content)
  assert fault(path).reason in (Reason.DAMAGED, Reason.TRUNCATED)
  stream = video.FrameStream(path, 10, 64, max_damaged=1.0)
  with contextlib.suppress(VideoError):
    list(stream)
    assert stream.damaged > 0


def test_random_damage_never_raises_anything_else(tmp_path, filmed):
  whole = {
    ext: filmed(f"w.{ext}", 40).read_bytes() for ext in ("mp4", "mkv", "avi")
  }
  draw = random.Random(0)
  for trial in range(90):
    extension = draw.choice(sorted(whole))
    content = bytearray(whole[extension])
    for _ in range(draw.choice([1, 4, 40])):
      content[draw.randrange(len(content))] = draw.randrange(256)
    path = tmp_path / f"{trial}.{extension}"
    path.write_bytes(content)
    stream = video.FrameStream(path, 10, 64)
    try:
      frames = list(stream)
    except VideoError:
      continue
    assert len(frames) == stream.frame_count > 0


def test_times_far_past_the_end_are_refused(tmp_path, film):
  path = film(tmp_path / "a.mkv", [0, 0.1, 0.2])
  content = path.read_bytes()
  # Matroska's duration (id 4489) is a double; make it tiny.
  place = content.index(b"\x44\x89\x88") + 3
  far = film(tmp_path / "far.mkv", [0, 0.1, 80_000.0])
  body = bytearray(far.read_bytes())
  spot = body.index(b"\x44\x89\x88") + 3
  body[spot : spot + 8] = content[place : place + 8]
  cut = body.replace(b"DURATION", b"DURATI__")
  far.write_bytes(cut)
  assert fault(far).reason == Reason.UNDECODABLE


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7, 0.9, 0.97])
@pytest.mark.parametrize(
  ("extension", "codec", "pix_fmt"),
  [
    ("mp4", "libx264", "yuv420p"),
    ("ts", "libx264", "yuv420p"),
    ("gif", "gif", "rgb8"),
    ("avi", "mpeg4", "yuv420p"),
    ("mkv", "libx264", "yuv420p"),
    ("webm", "libvpx", "yuv420p"),
  ],
)
def test_no_cut_file_is_a_shorter_video(
  filmed, extension, codec, pix_fmt, share
):
  """Also where the form alone tells: sizes of packets, lists and blocks."""
  form = {"codec": codec, "pix_fmt": pix_fmt, "sound": extension == "ts"}
  path = filmed(f"a.{extension}", 60, **form, images=noise(60))
  whole = count(path)
  assert whole >= 60
  content = path.read_bytes()
  size = int(len(content) * share)
  path.write_bytes(content[: size + (size % 188 == 0)])
  try:
    shown = count(path)
  except VideoError:
    assert fault(path).reason.name in CUT
    return
  # All pictures are there; only what follows them is cut.
  assert shown == whole
  assert share > 0.9


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("damage", ["hole", "more"])
def test_a_hole_does_not_end_a_video(filmed, damage, share):
  """Demuxers take zeros for the end, or any byte for that of a GIF."""
  cases = (
    ("gif", "gif", "rgb8", {}),
    ("mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
  )
  for extension, codec, pix_fmt, options in cases:
    form = {"codec": codec, "pix_fmt": pix_fmt, "container_options": options}
    form |= {"images": noise(60), "options": {"g": "6"} if options else None}
    path = filmed(f"a.{extension}", 60, **form)
    assert count(path) == 60
    content = bytearray(path.read_bytes())
    at = int(len(content) * share)
    if damage == "hole":
      content[at : at + 9000] = bytes(9000)
    else:
      content[at:at] = content[at : at + 300]
    path.write_bytes(content)
    with contextlib.suppress(VideoError):
      assert count(path) >= 59


def test_an_avi_may_end_with_pictures_held(tmp_path, film):
  """Empty chunks say that a picture stays; so recorders of screens do."""
  form = {"codec": "mjpeg", "pix_fmt": "yuvj420p"}
  path = film(tmp_path / "a.avi", [0, 0.04, 1.0, 1.04, 3.0], **form)
  with av.open(str(path)) as container:
    assert container.streams.video[0].frames > 1000
  stream = video.FrameStream(path, 10, 0)
  assert len(list(stream)) >= 31
  content = path.read_bytes()
  path.write_bytes(content[: int(len(content) * 0.8)])
  assert fault(path).reason in (Reason.TRUNCATED, Reason.DAMAGED)
