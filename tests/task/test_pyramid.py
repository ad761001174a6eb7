"""The pyramid's geometry."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from unloc_jax.task.pyramid import PyramidSpec

INF = float("inf")


@st.composite
def specs(draw):
  """Any valid geometry of up to 6 levels."""
  levels = draw(st.integers(1, 6))
  coarsest = draw(st.integers(1, 9))
  bounds = sorted(
    draw(
      st.lists(
        st.integers(1, 64),
        min_size=levels - 1,
        max_size=levels - 1,
        unique=True,
      )
    )
  )
  ranges = tuple(zip([0, *bounds], [*bounds, INF], strict=True))
  return PyramidSpec(coarsest * 2 ** (levels - 1), ranges)


@hypothesis.given(specs())
def test_points_lie_on_frames_finest_first(spec):
  expected = [
    (frame, 2**level)
    for level in range(spec.num_levels)
    for frame in range(0, spec.num_frames, 2**level)
  ]
  assert spec.num_points == len(expected) == sum(spec.lengths)
  points = list(zip(spec.positions, spec.point_strides, strict=True))
  assert points == expected


@hypothesis.given(specs())
def test_every_length_is_in_the_range_of_one_level(spec):
  for length in (0, 0.5, 7, 64, 1e6):
    in_charge = [low <= length < high for low, high in spec.ranges]
    assert sum(in_charge) == 1
  lows = spec.point_ranges[:, 0]
  expected = [spec.ranges[int(np.log2(s))][0] for s in spec.point_strides]
  np.testing.assert_array_equal(lows, expected)


@hypothesis.given(specs(), st.randoms(use_true_random=False))
def test_a_point_is_valid_iff_its_frame_is(spec, random):
  mask = np.array([random.random() < 0.5 for _ in range(spec.num_frames)])
  points = np.asarray(spec.point_mask(mask[None]))[0]
  np.testing.assert_array_equal(points, mask[spec.positions.astype(int)])


def test_impossible_geometry_is_one_error():
  with pytest.raises(ValueError, match="not divisible by 8"):
    PyramidSpec(10, ((0, 4), (4, INF)) * 2)
