"""What one run of a compiled program costs a device: counted from its text.

XLA's own analysis counts the body of a loop once and is missing on GPUs; here
loops count as often as they run. FLOPs are those of matrix products and
convolutions. Bytes of memory are what instructions read and write, a fusion
being one instruction.
"""

import dataclasses
import functools
import json
import math
import re
from collections.abc import Iterable

import numpy as np

from unloc_jax.plan import hlo
from unloc_jax.plan.hlo import Array, Instruction

# Collective -> bytes sent by a device of a ring of n, per byte of payload.
COLLECTIVES = {
  "all-reduce": lambda n: 2 * (n - 1) / n,
  "all-gather": lambda n: (n - 1) / n,
  "reduce-scatter": lambda n: (n - 1) / n,
  "all-to-all": lambda n: (n - 1) / n,
  "ragged-all-to-all": lambda n: (n - 1) / n,
  "collective-permute": lambda n: 1.0,
  "collective-broadcast": lambda n: 1.0,
}
_FREE = {
  "parameter",
  "constant",
  "tuple",
  "get-tuple-element",
  "bitcast",
  "while",
  "call",
  "conditional",
  "after-all",
  "partition-id",
  "replica-id",
  "iota",
  "opt-barrier",
  "add-dependency",
  "async-update",
}
_GEMM = '"gemm_backend_config"'
_MESH_GROUPS = re.compile(
  r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\([^{]*\))? *\{([^}]*)\}"
)
_SLICING = {"dynamic-slice", "slice", "gather"}


@dataclasses.dataclass(frozen=True)
class Traffic:
  """Collectives of one kind over groups of one size.

  Attributes:
    kind: Key of COLLECTIVES.
    group: Devices that take part together.
    count: How many run.
    payload: Their whole arrays, bytes.
    sent: What a device sends for it, bytes.
  """

  kind: str
  group: int
  count: float
  payload: float
  sent: float

  def __mul__(self, times: float) -> "Traffic":
    return dataclasses.replace(
      self,
      count=self.count * times,
      payload=self.payload * times,
      sent=self.sent * times,
    )


@dataclasses.dataclass(frozen=True)
class Costs:
  """Of one device and one run.

  Attributes:
    flops: Of matrix products and convolutions.
    bytes: Read from and written to main memory.
    traffic: Collectives.
  """

  flops: float = 0.0
  bytes: float = 0.0
  traffic: tuple[Traffic, ...] = ()

  def __add__(self, other: "Costs") -> "Costs":
    return Costs(
      self.flops + other.flops,
      self.bytes + other.bytes,
      merge([*self.traffic, *other.traffic]),
    )

  def __mul__(self, times: float) -> "Costs":
    traffic = tuple(one * times for one in self.traffic)
    return Costs(self.flops * times, self.bytes * times, traffic)


def merge(traffic: Iterable[Traffic]) -> tuple[Traffic, ...]:
  """Sums traffic of the same kind and group size."""
  sums: dict[tuple[str, int], Traffic] = {}
  for one in traffic:
    key = one.kind, one.group
    old = sums.get(key, Traffic(*key, 0, 0, 0))
    sums[key] = Traffic(
      *key,
      old.count + one.count,
      old.payload + one.payload,
      old.sent + one.sent,
    )
  return tuple(sums[key] for key in sorted(sums))


def count(text: str, num_devices: int) -> Costs:
  """Costs of a compiled program.

  Args:
    text: `compiled.as_text()`.
    num_devices: Of the mesh it was compiled for.
  """
  return _Counter(hlo.parse(text), num_devices).computation_costs()


class _Counter:
  """Walks the calls of a module; every computation is counted once."""

  def __init__(self, module: hlo.Module, num_devices: int):
    self._module = module
    self._num_devices = num_devices
    self._known: dict[str, Costs] = {}

  def computation_costs(self, name: str = "") -> Costs:
    name = name or self._module.entry
    if name not in self._known:
      lines = self._module.computations[name]
      flops, nbytes = 0.0, 0.0
      traffic: list[Traffic] = []
      for line in lines.values():
        one = self._costs(line, lines)
        flops, nbytes = flops + one.flops, nbytes + one.bytes
        traffic += one.traffic
      self._known[name] = Costs(flops, nbytes, merge(traffic))
    return self._known[name]

  def _costs(self, line: Instruction, lines: dict[str, Instruction]) -> Costs:
    if line.opcode == "while":
      inside = self.computation_costs(line.called("body")[0])
      inside += self.computation_costs(line.called("condition")[0])
      return inside * self._module.trip_count(line)
    if line.opcode == "conditional":
      branches = line.called(
        "branch_computations", "true_computation", "false_computation"
      )
      return max(
        (self.computation_costs(name) for name in branches),
        key=lambda costs: costs.flops,
      )
    if line.opcode in ("call", "async-start"):
      return self.computation_costs(line.called("calls", "to_apply")[0])
    kind = line.opcode.removesuffix("-start")
    if kind in COLLECTIVES:
      return self._collective(kind, line, lines)
    if line.opcode == "fusion":
      return self._fusion(line, lines)
    return Costs(flops(line, lines), self._bytes(line, lines))

  def _fusion(self, line, lines) -> Costs:
    name = line.called("calls")[0]
    inside = self.computation_costs(name)
    traffic = inside.traffic
    if "all-reduce-scatter" in name:
      # The TPU compiler's form of a reduce-scatter.
      traffic = tuple(
        dataclasses.replace(one, kind="reduce-scatter", sent=one.sent / 2)
        for one in traffic
      )
    return Costs(inside.flops, self._bytes(line, lines), traffic)

  def _collective(self, kind, line, lines) -> Costs:
    given = sum(a.nbytes for a in _operand_arrays(line, lines))
    made = sum(a.nbytes for a in line.arrays)
    if line.opcode.endswith("-start") and kind != "all-reduce":
      made -= given  # The result of a start holds its operands too.
    payload = max(given, made) if kind == "all-gather" else given
    group = group_size(line.attributes, self._num_devices)
    if kind == "collective-permute":
      group = 2
    sent = payload * COLLECTIVES[kind](group) if group > 1 else 0.0
    one = Traffic(kind, group, 1, payload, sent)
    return Costs(bytes=2.0 * given, traffic=(one,))

  def _bytes(self, line: Instruction, lines: dict[str, Instruction]) -> float:
    """Bytes of main memory that an instruction reads and writes."""
    opcode = line.opcode
    if opcode in _FREE or opcode.endswith("-start"):
      return 0.0
    if opcode.endswith("-done"):
      return float(sum(a.nbytes for a in line.arrays))
    if opcode in _SLICING:
      return 2.0 * _main_memory(line.arrays)
    if opcode == "dynamic-update-slice":
      return 2.0 * _main_memory(lines[line.operands[1]].arrays)
    if opcode == "fusion":
      return self._fusion_bytes(line, lines)
    return _main_memory(line.arrays) + _main_memory(
      _operand_arrays(line, lines)
    )

  def _fusion_bytes(self, line, lines) -> float:
    """A fusion that takes or replaces a part of an array touches that part."""
    inside = self._module.computations[line.called("calls")[0]]
    parameters = {
      int(one.argument): one
      for one in inside.values()
      if one.opcode == "parameter"
    }
    total = 0.0
    for number, operand in enumerate(line.operands):
      arrays = lines[operand].arrays
      if not any(a.on_chip for a in arrays):
        whole = float(sum(a.nbytes for a in arrays))
        total += min(whole, _read(parameters[number], inside, whole))
    root = next(one for one in inside.values() if one.is_root)
    return total + _written(root, inside, _main_memory(line.arrays))


def _read(parameter, inside, whole: float) -> float:
  """Bytes that a fused computation reads of one of its parameters."""
  users = [one for one in inside.values() if parameter.name in one.operands]
  total = 0.0
  for user in users:
    if user.opcode in _SLICING:
      total += sum(a.nbytes for a in user.arrays)
    elif user.opcode == "bitcast":
      total += _read(user, inside, whole)
    elif not (
      user.opcode == "dynamic-update-slice"
      and user.operands[0] == parameter.name
    ):
      return whole
  return total


def _written(root, inside, whole: float) -> float:
  while root.opcode == "bitcast":
    root = inside[root.operands[0]]
  if root.opcode == "dynamic-update-slice":
    update = sum(a.nbytes for a in inside[root.operands[1]].arrays)
    return min(whole, float(update))
  return whole


def _operand_arrays(line, lines) -> list[Array]:
  return [a for name in line.operands for a in lines[name].arrays]


def _main_memory(arrays: Iterable[Array]) -> float:
  return float(sum(a.nbytes for a in arrays if not a.on_chip))


def flops(line: Instruction, lines: dict[str, Instruction]) -> float:
  """FLOPs of one instruction: 2 per multiply-add of products, 0 of others."""
  if line.opcode == "dot":
    left = lines[line.operands[0]].arrays[0]
    over = _numbers(line.attributes, r"lhs_contracting_dims=\{([0-9,]*)\}")
    return 2.0 * line.arrays[0].size * math.prod(left.dims[i] for i in over)
  if line.opcode == "convolution":
    left, right = (lines[name].arrays[0] for name in line.operands[:2])
    return convolution_flops(left, right, line.arrays[0], line.attributes)
  if line.opcode == "custom-call" and _GEMM in line.attributes:
    return _gemm_flops(line, lines)
  return 0.0


def _gemm_flops(line, lines) -> float:
  """A matrix product that is a library's, on a GPU."""
  at = line.attributes.index("backend_config=") + len("backend_config=")
  config, _ = json.JSONDecoder().raw_decode(line.attributes[at:])
  numbers = config["gemm_backend_config"]["dot_dimension_numbers"]
  over = [int(i) for i in numbers["lhs_contracting_dimensions"]]
  left = lines[line.operands[0]].arrays[0]
  return 2.0 * line.arrays[0].size * math.prod(left.dims[i] for i in over)


def _numbers(text: str, pattern: str) -> list[int]:
  found = re.search(pattern, text)
  return [int(n) for n in found[1].split(",") if n] if found else []


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


_WINDOW = {
  "stride": "1",
  "pad": "0_0",
  "lhs_dilate": "1",
  "rhs_dilate": "1",
}


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


def group_size(attributes: str, num_devices: int) -> int:
  """Devices of one group of a collective."""
  listed = re.search(r"replica_groups=\{\{([0-9,]*)\}", attributes)
  if listed:
    return len(listed[1].split(","))
  iota = re.search(r"replica_groups=\[(\d+),(\d+)\]", attributes)
  if iota:
    return int(iota[2])
  named = _MESH_GROUPS.search(attributes)
  if named:
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
    axes = re.findall(r"'(\w+)'", named[2])
    return math.prod(int(sizes[axis]) for axis in axes)
  return num_devices
