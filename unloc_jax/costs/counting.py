"""What one run of a compiled program costs a device: counted from its text.

XLA's own analysis counts the body of a loop once and is missing on GPUs; here
loops count as often as they run. FLOPs are those of matrix products and
convolutions. Bytes are what instructions read from and write to main memory, a
fusion being one instruction; arrays on the chip itself do not count.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from unloc_jax.costs import hlo
from unloc_jax.costs.hlo import Array, Instruction
from unloc_jax.costs.products import instruction_flops

# Collective -> times that a device of a ring of n sends (n - 1) / n of the
# payload; 0: it sends the payload as it is.
COLLECTIVES = {
  "all-reduce": 2,
  "all-gather": 1,
  "reduce-scatter": 1,
  "all-to-all": 1,
  "ragged-all-to-all": 1,
  "collective-permute": 0,
  "collective-broadcast": 0,
}
_FREE = re.compile(
  "parameter|constant|tuple|get-tuple-element|bitcast|while|call|conditional|"
  "after-all|partition-id|replica-id|iota|opt-barrier|add-dependency|"
  "async-update|async-done"
)
_SLICING = frozenset(("dynamic-slice", "slice", "gather"))
_MESH_GROUPS = re.compile(
  r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\([^{]*\))? *\{([^}]*)\}"
)


@dataclasses.dataclass(frozen=True)
class Traffic:
  """Collectives of one kind (of COLLECTIVES) over groups of one size."""

  kind: str
  group: int  # Devices that take part together
  count: float  # How many run
  payload: float  # Their whole arrays, bytes
  sent: float  # What a device sends for it, bytes


@dataclasses.dataclass(frozen=True)
class Costs:
  """Of one device and one run of a program."""

  flops: float = 0.0
  bytes: float = 0.0
  traffic: tuple[Traffic, ...] = ()


def count(text: str, num_devices: int) -> Costs:
  """Costs of `compiled.as_text()`, compiled for a mesh of so many devices."""
  module = hlo.parse(text)
  flops = nbytes = 0.0
  sums: dict[tuple[str, int], list[float]] = collections.defaultdict(
    lambda: [0.0, 0.0, 0.0]
  )
  for run in _executed(module, module.entry):
    flops += run.times * instruction_flops(run.line)
    if not run.fusion:
      nbytes += run.times * _bytes(module, run.line)
    if one := _collective(run, num_devices):
      total = sums[one.kind, one.group]
      for i, value in enumerate((one.count, one.payload, one.sent)):
        total[i] += run.times * value
  traffic = (Traffic(*key, *sums[key]) for key in sorted(sums))
  return Costs(flops, nbytes, tuple(traffic))


def products(text: str) -> Iterator[tuple[tuple[int, int, int], float]]:
  """(rows, contracted, columns) and FLOPs of the matrix products that run."""
  module = hlo.parse(text)
  for line, times, _ in _executed(module, module.entry):
    if line.opcode == "dot":
      left, right = (array.size for array in line.operands)
      flops, out = instruction_flops(line), line.arrays[0].size
      inner = round(flops / 2 / out)
      batch = round(left * right / (out * inner**2))
      each = batch * inner
      yield (left // each, inner, right // each), times * flops


class _Run(NamedTuple):
  """An instruction, how often it runs, and the fusion it is in."""

  line: Instruction
  times: float
  fusion: str


def _executed(
  module: hlo.Module, name: str, times: float = 1.0, fusion: str = ""
) -> Iterator[_Run]:
  """Instructions of a computation and of all that it calls."""
  for line in module.computations[name]:
    yield _Run(line, times, fusion)
    if line.opcode == "while":
      turns = times * module.trip_count(line)
      for inner in line.called("body", "condition"):
        yield from _executed(module, inner, turns, fusion)
    elif line.opcode == "conditional":
      branches = line.called(
        "branch_computations", "true_computation", "false_computation"
      )
      most = max(branches, key=lambda branch: _flops_of(module, branch))
      yield from _executed(module, most, times, fusion)
    elif line.opcode in ("call", "async-start"):
      inner = line.called("calls", "to_apply")[0]
      yield from _executed(module, inner, times, fusion)
    elif line.opcode == "fusion":
      inner = line.called("calls")[0]
      yield from _executed(module, inner, times, inner)


def _flops_of(module: hlo.Module, name: str) -> float:
  runs = _executed(module, name)
  return sum(run.times * instruction_flops(run.line) for run in runs)


def _kind(line: Instruction) -> str:
  """Key of COLLECTIVES; "" for other instructions."""
  kind = line.opcode.removesuffix("-start")
  return kind if kind in COLLECTIVES else ""


def _results(line: Instruction) -> tuple[Array, ...]:
  """Arrays that a collective makes; that of a start holds its operands, too."""
  started = line.opcode.endswith("-start") and _kind(line) != "all-reduce"
  return line.arrays[len(line.operands) if started else 0 :]


def _collective(run: _Run, num_devices: int) -> Traffic | None:
  line, kind = run.line, _kind(run.line)
  if not kind:
    return None
  payload = _nbytes(line.operands)
  if kind == "all-gather":
    payload = max(payload, _nbytes(_results(line)))
  group = group_size(line.attributes, num_devices)
  if kind == "collective-permute":
    group = 2
  rounds = COLLECTIVES[kind]
  sent = payload * rounds * (group - 1) / group if rounds else payload
  sent = sent if group > 1 else 0.0
  if "all-reduce-scatter" in run.fusion:
    # The TPU compiler's form of a reduce-scatter.
    kind, sent = "reduce-scatter", sent / 2
  return Traffic(kind, group, 1, payload, sent)


def _bytes(module: hlo.Module, line: Instruction) -> float:
  """Bytes of main memory that an instruction reads and writes."""
  opcode, results = line.opcode, line.arrays
  if _kind(line):
    return _main_memory([*line.operands, *_results(line)])
  if _FREE.fullmatch(opcode) or opcode.endswith("-start"):
    return 0.0
  if opcode.endswith("-done"):
    # An asynchronous move, whose other side is on the chip; collectives are
    # counted where they start.
    moved = opcode.removesuffix("-done") not in COLLECTIVES
    return _nbytes(results) if moved else 0.0
  if opcode in _SLICING:
    source = line.inputs[0].arrays
    read = _nbytes(results) if _main_memory(source) else 0.0
    return read + _main_memory(results)
  if opcode == "dynamic-update-slice":
    update = line.inputs[1].arrays
    written = _nbytes(update) if _main_memory(results) else 0.0
    return written + _main_memory(update)
  if opcode == "fusion":
    return _fusion_bytes(module, line)
  if opcode == "custom-call":
    # A library's scratch space, of which it touches little, is a row of bytes.
    results = tuple(a for a in results if (a.dtype, len(a.dims)) != ("s8", 1))
  return _main_memory([*results, *line.operands])


def _fusion_bytes(module: hlo.Module, line: Instruction) -> float:
  """A fusion that takes or replaces a part of an array touches that part."""
  inside = module.computations[line.called("calls")[0]]
  total = 0.0
  for one in inside:
    if one.opcode == "parameter":
      whole = _main_memory(line.inputs[int(one.argument)].arrays)
      total += min(whole, _read(one, inside, whole))
    if one.is_root:
      total += _written(one, _main_memory(line.arrays))
  return total


def _read(
  parameter: Instruction, inside: list[Instruction], whole: float
) -> float:
  """Bytes that a fused computation reads of one of its parameters."""
  total = 0.0
  for user in inside:
    if parameter not in user.inputs:
      continue
    updates = user.opcode == "dynamic-update-slice"
    replaced = updates and user.inputs[0] is parameter
    if user.opcode in _SLICING:
      total += _nbytes(user.arrays)
    elif user.opcode == "bitcast":
      total += _read(user, inside, whole)
    elif not replaced:
      return whole
  return total


def _written(root: Instruction, whole: float) -> float:
  """Bytes that a fused computation writes of its result."""
  while root.opcode == "bitcast":
    root = root.inputs[0]
  if root.opcode == "dynamic-update-slice":
    return min(whole, _nbytes(root.inputs[1].arrays))
  return whole


def _nbytes(arrays: Iterable[Array]) -> float:
  return float(sum(a.nbytes for a in arrays))


def _main_memory(arrays: Iterable[Array]) -> float:
  return _nbytes(a for a in arrays if not a.on_chip)


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
