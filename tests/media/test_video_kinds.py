"""Files as recorders, broadcasters and joiners of files leave them behind."""

import pathlib
import random

import av
import pytest

from data_preprocessing.lookup import VideoIndex
from tests.films import TIMES, count, fault, noise, numbered_frame
from unloc_jax.annotations.records import VideoAnnotation
from unloc_jax.media import listing
from unloc_jax.media.errors import Reason, VideoError
from unloc_jax.media.video import FrameStream


@pytest.fixture
def numbers(read_number):
  """What is shown at 25 positions a second; the stream it is read from."""

  def read(path, threads=1):
    stream = FrameStream(path, 25, 0, threads=threads)
    return [read_number(image) for _, image in stream], stream

  return read


@pytest.mark.parametrize("length", [2, 75])
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_the_picture_need_not_come_first(filmed, numbers, extension, length):
  path = filmed(f"a.{extension}", length, sound_first=True)
  alone, _ = numbers(path)
  assert sorted(set(alone)) == list(range(length))
  assert [numbers(path, threads)[0] for threads in (3, 16)] == [alone] * 2


@pytest.mark.parametrize(
  ("extension", "codec"),
  [("mp4", "libx264"), ("ts", "libx264"), ("webm", "libvpx")],
)
def test_damage_is_the_same_in_any_number_of_threads(filmed, extension, codec):
  form = {"codec": codec, "images": noise(40), "options": {"g": "20"}}
  path = filmed(f"a.{extension}", 40, **form)
  whole = path.read_bytes()
  damaged = 0.0
  for where in (0.4, 0.6, 0.95):
    content, at = bytearray(whole), int(len(whole) * where)
    content[at : at + 300] = random.Random(at).randbytes(300)
    path.write_bytes(content)
    results = []
    for threads in (1, 3, 16):
      stream = FrameStream(path, 25, 0, threads=threads, max_damaged=1)
      results.append(([i.tobytes() for _, i in stream], stream.damaged))
    assert results[1:] == results[:1] * 2
    damaged += stream.damaged
  assert damaged > 0


def joined(*parts: pathlib.Path) -> pathlib.Path:
  path = parts[0].with_stem("joined")
  path.write_bytes(b"".join(part.read_bytes() for part in parts))
  return path


@pytest.mark.parametrize(
  ("extension", "codec", "start"),
  [
    ("ts", "libx264", 0),
    ("ts", "libx264", 3 * 3600),
    ("ts", "mpeg2video", 0),
    ("mpg", "mpeg2video", 0),
  ],
)
def test_joined_films_are_one(filmed, numbers, extension, codec, start):
  form = {"codec": codec, "options": {"g": "12"}}
  first = filmed(f"a.{extension}", **form)
  second = filmed(f"b.{extension}", start=start, **form)
  shown, stream = numbers(joined(first, second, first))
  assert shown == list(range(75)) * 3
  assert stream.duration == pytest.approx(9.0)
  assert "its clock starts again or leaps 2 times" in stream.remarks[0]


def test_a_gap_in_the_picture_alone_is_no_leap(tmp_path, film, numbers):
  times = [*TIMES[:75], *(t + 15 for t in TIMES[:75])]
  path = film(tmp_path / "a.ts", times, base=25, sound=True)
  assert numbers(path)[1].duration == pytest.approx(18, abs=0.2)


@pytest.mark.parametrize(
  ("extension", "first", "second"),
  [
    ("mp4", {}, {}),
    ("mkv", {}, {}),
    ("flv", {"codec": "flv"}, {"codec": "flv"}),
    ("wmv", {"codec": "wmv2"}, {"codec": "wmv2"}),
    ("ts", {}, {"codec": "mpeg2video"}),
    ("ts", {}, {"container_options": {"mpegts_start_pid": "0x200"}}),
  ],
)
def test_what_players_leave_out_is_refused(filmed, extension, first, second):
  """A second film behind the first that its readers do not come to."""
  one = filmed(f"a.{extension}", **first)
  assert count(one) == 75
  path = joined(one, filmed(f"b.{extension}", **second))
  assert fault(path).reason in (Reason.UNDECODABLE, Reason.DAMAGED)


def test_an_empty_packet_holds_the_picture(tmp_path, numbers):
  path = tmp_path / "a.nut"
  with av.open(str(path), "w") as container:
    stream = container.add_stream("mjpeg", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    for i in range(50):
      frame = av.VideoFrame.from_ndarray(numbered_frame(i, 64, 48), "rgb24")
      frame.pts = i
      for packet in stream.encode(frame):
        held = av.Packet(b"")
        held.stream, held.time_base = stream, packet.time_base
        held.pts, held.dts = packet.pts, packet.dts
        container.mux(held if i % 10 else packet)
  shown, stream = numbers(path)
  assert shown == [i // 10 * 10 for i in range(50)]
  assert stream.damaged == 0


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_times_before_zero_begin_at_zero(filmed, numbers, extension):
  container = {"avoid_negative_ts": "disabled", "use_editlist": "0"}
  form = {"container_options": container, "options": {"bf": "0"}}
  path = filmed(f"a.{extension}", start=-0.4, **form)
  assert numbers(path)[0] == list(range(75))


def several(path, *pictures, flags=None, title="") -> pathlib.Path:
  """Writes a file of several pictures: codec, size, number of frames."""
  with av.open(str(path), "w") as container:
    container.metadata["title"] = title
    streams = [container.add_stream(codec, rate=25) for codec, _, _ in pictures]
    for number, (codec, size, _) in enumerate(pictures):
      stream = streams[number]
      stream.width, stream.height = size
      stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
      if flags:
        stream.disposition = flags[number]
    for stream, (_, size, length) in zip(streams, pictures, strict=True):
      for i in range(length):
        image = numbered_frame(i, *size)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = i
        container.mux(stream.encode(frame))
      container.mux(stream.encode())
  return path


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_the_film_is_shown_and_not_its_cover(tmp_path, numbers, extension):
  cover, small = ("mjpeg", (320, 240), 1), ("libx264", (64, 48), 50)
  default = av.stream.Disposition.default
  none = av.stream.Disposition(0)
  for name, pictures, flags in (
    ("a", (cover, small), None),
    ("b", (("libx264", (128, 96), 9), small), (none, default)),
    ("c", (("libx264", (32, 24), 50), small), (default, default)),
    ("d", (("libx264", (128, 96), 1), small), (none, none)),
  ):
    path = several(tmp_path / f"{name}.{extension}", *pictures, flags=flags)
    shown = list(FrameStream(path, 25, 0))
    assert len(shown) == 50
    assert shown[0][1].shape == (48, 64, 3)


def test_a_title_need_not_be_utf_8(tmp_path, numbers):
  picture = ("mjpeg", (64, 48), 1)
  path = several(tmp_path / "a.mkv", picture, title="caf\u00e9")
  content = path.read_bytes()
  assert content.count(b"caf\xc3\xa9") == 1
  path.write_bytes(content.replace(b"caf\xc3\xa9", b"caf\xe9\xe9"))
  assert numbers(path)[0] == [0]


def test_a_live_recording_is_read_to_its_end(filmed, numbers):
  form = {"codec": "libvpx", "container_options": {"live": "1"}}
  path = filmed("a.webm", **form)
  shown, stream = numbers(path)
  assert shown == list(range(75))
  assert "states no duration" in stream.remarks[0]
  bounded = FrameStream(path, 25, 0, max_seconds=2)
  with pytest.raises(VideoError, match="2 s is the most"):
    list(bounded)
  assert bounded.frame_count <= 50


def test_frames_far_apart_are_refused_at_once(tmp_path, film):
  path = film(tmp_path / "a.mkv", [1000 * i for i in range(100)])
  stream = FrameStream(path, 25, 0)
  with pytest.raises(VideoError, match="99000 s, 86400 s is the most") as error:
    list(stream)
  assert error.value.reason == Reason.TOO_LONG
  assert stream.frame_count == 0


@pytest.mark.parametrize("extension", ["ts", "mpg"])
def test_a_recording_may_begin_midway(filmed, numbers, extension):
  """Switched on between two key frames, as every broadcast is."""
  codec = "libx264" if extension == "ts" else "mpeg2video"
  form = {"codec": codec, "options": {"g": "30", "sc_threshold": "0"}}
  path = filmed(f"a.{extension}", **form)
  whole = path.read_bytes()
  size = {"ts": 188, "mpg": 2048}[extension]
  for cut in range(size, len(whole), size):
    path.write_bytes(whole[cut:])
    shown, stream = numbers(path)
    if stream.remarks:
      break
  assert shown[-1] == 74
  assert shown[0] > 0
  assert "begins midway" in stream.remarks[0]


def test_links_in_circles_are_walked_once(tmp_path, monkeypatch):
  inside = tmp_path / "a" / "b"
  inside.mkdir(parents=True)
  for number in range(3):
    (inside / f"up{number}").symlink_to(tmp_path)
  for name in ("x.mp4", "a/y.mp4", "a/b/z.mp4"):
    (tmp_path / name).touch()
  paths = listing.matches(f"{tmp_path}/**/*.mp4")
  assert paths == sorted(f"{tmp_path}/{n}.mp4" for n in ("x", "a/y", "a/b/z"))
  assert listing.matches(f"{tmp_path}/a/*.mp4") == [f"{tmp_path}/a/y.mp4"]
  monkeypatch.chdir(tmp_path)
  assert listing.matches("**/z.mp4") == ["a/b/z.mp4"]
  found = VideoIndex(str(tmp_path)).find(
    VideoAnnotation("z", "train", None, (), ())
  )
  assert found.name == "a/b/z.mp4"
