"""FLOPs of one instruction of a compiled program."""

import functools
import json
import math
import re

import numpy as np

from unloc_jax.costs.hlo import Array, Instruction

_GEMM = '"gemm_backend_config"'
_WINDOW = {"stride": "1", "pad": "0_0", "lhs_dilate": "1", "rhs_dilate": "1"}


def instruction_flops(line: Instruction) -> float:
  """2 per multiply-add of products, 0 of other instructions."""
  if line.opcode == "convolution":
    left, right = line.operands[:2]
    return convolution_flops(left, right, line.arrays[0], line.attributes)
  if line.opcode == "dot":
    pattern = r"lhs_contracting_dims=\{([0-9,]+)\}"
    found = re.search(pattern, line.attributes)
    axes = found[1].split(",") if found else []
  elif line.opcode == "custom-call" and _GEMM in line.attributes:
    # A matrix product that is a library's, on a GPU.
    at = line.attributes.index("backend_config=") + len("backend_config=")
    config, _ = json.JSONDecoder().raw_decode(line.attributes[at:])
    numbers = config["gemm_backend_config"]["dot_dimension_numbers"]
    axes = numbers["lhs_contracting_dimensions"]
  else:
    return _attention_flops(line)
  dims = line.operands[0].dims
  over = math.prod(dims[int(axis)] for axis in axes)
  return 2.0 * line.arrays[0].size * over


# Of kernels of whole attention: products of the size of the score matrix, and
# the axis of positions of queries and keys, of four.
_ATTENTION = (
  (r"tpu_custom_call.*flash_mha_bwd_dq", 3, 2),
  (r"tpu_custom_call.*flash_mha_bwd_dkv", 4, 2),
  (r"tpu_custom_call", 2, 2),
  (r"__cudnn\$fmha\w*Backward", 5, 1),
  (r"__cudnn\$fmha", 2, 1),
)


def _attention_flops(line: Instruction) -> float:
  """FLOPs of a library's attention kernel, 0 of other instructions."""
  if line.opcode != "custom-call":
    return 0.0
  for pattern, products, axis in _ATTENTION:
    if re.search(pattern, line.attributes):
      query, key = line.operands[:2]
      return 2.0 * products * query.size * key.dims[axis]
  return 0.0


def convolution_flops(
  left: Array, right: Array, out: Array, attributes: str
) -> float:
  """FLOPs of a convolution, padding and inserted zeros left out.

  The TPU compiler writes all matrix products so, with batch and contracted
  axes as windows over padding.
  """
  labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", attributes)
  assert labels is not None, attributes
  in_labels, kernel_labels, out_labels = labels.groups()
  window = _window(attributes)
  total = 2.0 * out.dims[out_labels.index("b")]
  total *= out.dims[out_labels.index("f")]
  total *= right.dims[kernel_labels.index("i")]
  for axis in sorted(c for c in in_labels if c.isdigit()):
    total *= _valid_positions(
      left.dims[in_labels.index(axis)],
      right.dims[kernel_labels.index(axis)],
      out.dims[out_labels.index(axis)],
      *(window[key][int(axis)] for key in _WINDOW),
    )
  return total


def _window(attributes: str) -> dict[str, list[str]]:
  """Settings per spatial axis, defaults filled in."""
  found = re.search(r"window=\{([^}]*)\}", attributes)
  given = dict(part.split("=") for part in found[1].split()) if found else {}
  rank = len(given["size"].split("x")) if "size" in given else 0
  return {
    key: given[key].split("x") if key in given else [default] * rank
    for key, default in _WINDOW.items()
  }


@functools.lru_cache(maxsize=65536)
def _valid_positions(
  size: int,
  kernel: int,
  out: int,
  stride: str,
  pad: str,
  dilate: str,
  kernel_dilate: str,
) -> int:
  """Pairs (output, tap) that meet an element of the input."""
  low = int(pad.split("_")[0])
  spread = (size - 1) * int(dilate) + 1
  start = np.arange(out) * int(stride) - low
  valid = 0
  for tap in range(kernel):
    at = start + tap * int(kernel_dilate)
    inside = (at >= 0) & (at < spread) & (at % int(dilate) == 0)
    valid += int(np.count_nonzero(inside))
  return valid
