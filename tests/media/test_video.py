"""Every stored frame is the one a player shows at its time."""

import itertools
import struct

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unloc_jax.media.display import shown_size
from unloc_jax.media.video import FrameStream

REAL = (
  "askanything_playing_guitar.mp4",
  "charades.mp4",
  "flipping_a_pancake.mkv",
  "mmaction2_test.avi",
  "moviepy_big_buck_bunny_0_30.webm",
  "real_editlist_copy_cut.mp4",
  "real_oddsize_321x179_yuv444.mp4",
  "real_rotate_90.mp4",
  "real_single_frame.mp4",
  "real_start_time_5s.mkv",
  "real_vfr.mp4",
  "decord_video_90.mov",
  "torchcodec_av1_video.mkv",
  "torchcodec_h265_10bits.mp4",
  "torchvision_v_SoccerJuggling_g23_c01.avi",
  "v_GGSY1Qvo990.mp4",
)
# Counter-clockwise quarter turns by which the file asks to be shown.
TURNS = {"real_rotate_90.mp4": 1, "decord_video_90.mov": 3}


def shown_at(times, moment: float) -> int:
  """The frame on screen, from first principles."""
  return max([i for i, t in enumerate(times) if t <= moment], default=0)


def images(path, rate, **options) -> list[np.ndarray]:
  return [image for _, image in FrameStream(path, rate, 0, **options)]


@pytest.mark.parametrize(
  ("count", "fps", "rate", "shown"),
  [
    (90, 30, 10, range(0, 90, 3)),
    (5, 5, 20, [i // 4 for i in range(20)]),  # Faster: frames come again.
  ],
)
def test_a_steady_video(tmp_path, film, read_number, count, fps, rate, shown):
  times = [i / fps for i in range(count)]
  path = film(tmp_path / "a.mp4", times, base=fps, rate=fps)
  found = list(FrameStream(path, rate, 0))
  assert [read_number(image) for _, image in found] == list(shown)
  assert [t for t, _ in found] == [i / rate for i in range(len(found))]
  for (_, one), (_, other) in itertools.pairwise(found):
    assert (one is other) == (read_number(one) == read_number(other))
  with pytest.raises(ValueError, match="rate: 0"):
    FrameStream(path, 0, 0)


@settings(
  max_examples=15,
  deadline=None,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
  gaps=st.lists(st.integers(20, 900), min_size=2, max_size=12),
  rate=st.sampled_from([1, 4, 10, 12.5]),
  offset=st.sampled_from([0, 5000]),
  extension=st.sampled_from(["mp4", "mkv"]),
)
def test_variable_rate_and_offset(
  tmp_path, film, read_number, gaps, rate, offset, extension
):
  stamps = np.concatenate([[0], np.cumsum(gaps[:-1])])
  path = film(
    tmp_path / f"vfr.{extension}", [(s + offset) / 1000 for s in stamps]
  )
  stream = FrameStream(path, rate, 0)
  found = list(stream)
  times = [s / 1000 for s in stamps]
  assert [read_number(image) for _, image in found] == [
    shown_at(times, i / rate) for i in range(len(found))
  ]
  assert [t for t, _ in found] == [i / rate for i in range(len(found))]
  assert stream.frame_count == len(found)
  assert len(found) == max(1, np.ceil(round(stream.duration * rate, 6)))
  assert stream.duration > times[-1]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "ts", "avi", "webm"])
def test_files_of_a_few_frames(filmed, film, read_number, extension, count):
  codec = {"avi": "mpeg4", "webm": "libvpx"}.get(extension, "libx264")
  path = filmed(f"a.{extension}", count, codec=codec)
  assert [read_number(i) for i in images(path, 25)] == list(range(count))
  if extension == "mkv":
    # libav finds no start time in one of a few frames.
    path = film(path, [5 + i / 50 for i in range(count)])
    assert len(images(path, 1)) == 1


def test_an_avi_with_empty_chunks_is_whole(filmed):
  """libav's writer puts one in where sound and picture are out of step."""
  path = filmed("a.avi", 50, codec="mpeg4", sound=True)
  with av.open(str(path)) as container:
    assert container.streams.video[0].frames > 50
  assert len(images(path, 25)) >= 50


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_all_eight_orientations(tmp_path, film, turns, mirror):
  """The track matrix of an mp4 is applied as its standard says."""
  picture = np.zeros((48, 64, 3), np.uint8)
  picture[:24, :16] = (255, 0, 0)
  picture[24:, 48:] = (0, 0, 255)
  path = film(tmp_path / "a.mp4", [0, 0.04], images=[picture] * 2)
  matrix = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)
  if mirror:
    matrix = np.array([[-1, 0], [0, 1]]) @ matrix
  _set_matrix(path, matrix)
  expected = _mapped(picture, matrix)
  (image,) = images(path, 10)
  assert image.shape == expected.shape
  assert np.abs(image.astype(int) - expected).mean() < 12


def _set_matrix(path, matrix) -> None:
  """Writes [a b; c d] into the track header."""
  content = bytearray(path.read_bytes())
  place = content.index(b"tkhd") + 44
  (a, b), (c, d) = (matrix * 65536).tolist()
  content[place : place + 36] = struct.pack(
    ">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30
  )
  path.write_bytes(content)


def _mapped(picture, matrix):
  """Moves every pixel: (x, y) is shown at (x, y) @ matrix."""
  height, width = picture.shape[:2]
  y, x = np.mgrid[:height, :width]
  to = np.stack([x, y], -1).reshape(-1, 2) @ matrix
  to -= to.min(0)
  shown = np.zeros((to[:, 1].max() + 1, to[:, 0].max() + 1, 3), np.uint8)
  shown[to[:, 1], to[:, 0]] = picture.reshape(-1, 3)
  return shown


@pytest.mark.parametrize(
  ("width", "height", "aspect", "short", "expected"),
  [
    (640, 360, 1, 256, (455, 256)),
    (360, 640, 1, 256, (256, 455)),
    (320, 240, 1, 256, (320, 240)),
    (720, 576, 16 / 15, 288, (384, 288)),
    (720, 480, 8 / 9, 0, (720, 540)),
    (1, 1, 1, 256, (1, 1)),
    (5000, 3, 1, 2, (3333, 2)),
  ],
)
def test_shown_size(width, height, aspect, short, expected):
  assert shown_size(width, height, aspect, short) == expected


@pytest.mark.parametrize(
  ("size", "pix_fmt"), [((33, 47), "yuv444p"), ((64, 48), "yuv420p10le")]
)
def test_odd_sizes_and_deep_colour(tmp_path, film, read_number, size, pix_fmt):
  times = [i / 10 for i in range(8)]
  path = film(tmp_path / "a.mkv", times, size=size, pix_fmt=pix_fmt)
  found = images(path, 10)
  assert found[0].shape == (size[1], size[0], 3)
  assert [read_number(image) for image in found] == list(range(8))


def test_sound_that_outlasts_the_picture_is_no_fault(tmp_path, film):
  path = film(tmp_path / "a.mkv", [i / 10 for i in range(20)], sound=True)
  assert len(images(path, 10)) == 20


@pytest.mark.parametrize(
  ("wanted", "duration", "count"), [(2.4, 2.4, 24), (3.1, 2.0, 20), (1, 2, 20)]
)
def test_last_frame_is_held_for_less_than_a_second(
  tmp_path, film, read_number, wanted, duration, count
):
  path = film(tmp_path / "a.mp4", [i / 20 for i in range(40)], rate=20)
  stream = FrameStream(path, 10, 0, hold_until=wanted)
  shown = [read_number(image) for _, image in stream]
  assert (stream.duration, len(shown)) == (duration, count)
  assert shown == [min(2 * i, 39) for i in range(count)]


def _full_decode(path):
  """Times and images of every frame, decoded and timed independently."""
  with av.open(str(path)) as container:
    stream = container.streams.video[0]
    images, stamps = [], []
    for frame in container.decode(stream):
      images.append(frame.to_ndarray(format="rgb24", width=64, height=64))
      stamps.append(frame.pts)
    if path.suffix == ".avi":
      # An AVI knows a frame rate and no times.
      times = [i / stream.average_rate for i in range(len(images))]
    else:
      start = container.start_time / 1e6
      times = [s * stream.time_base - start for s in stamps]
  return [float(t) for t in times], images


@pytest.mark.parametrize("name", REAL)
def test_real_videos_against_a_full_decode(shared, name):
  path = shared / "data" / "videos" / name
  times, images = _full_decode(path)
  stream = FrameStream(path, 10, 128)
  found = list(stream)
  assert len(found) == max(1, np.ceil(stream.duration * 10 - 1e-9))
  for seconds, image in found:
    image = np.rot90(image, -TURNS.get(name, 0))
    frame = av.VideoFrame.from_ndarray(
      np.ascontiguousarray(image), format="rgb24"
    )
    small = frame.to_ndarray(format="rgb24", width=64, height=64).astype(int)
    wanted = shown_at(times, seconds + 1e-6)
    near = range(max(0, wanted - 4), min(len(images), wanted + 5))
    errors = {i: np.abs(small - images[i]).mean() for i in near}
    best = min(errors, key=lambda i: errors[i])
    # Frames that hold still are told apart by noise alone.
    assert errors[wanted] <= errors[best] + 0.35, (seconds, wanted, best)
    assert errors[wanted] < 12
