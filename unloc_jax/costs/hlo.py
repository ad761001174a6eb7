"""The text of a compiled program -> its computations and instructions.

Only what costs are counted from is read; see `costs`.
"""

import dataclasses
import functools
import math
import re

# Types without a number (token[], opaque[]) are not in memory.
_ARRAY = re.compile(r"\b(pred|[a-z]+\d\w*)\[([0-9,<=]*)\](\{[^}]*\})?")
_NAME = re.compile(r"%([\w.\-]+)")
_COMMENT = re.compile(r"/\*.*?\*/")
# TPU: values in a numbered memory space are on the chip itself.
_ON_CHIP = re.compile(r"S\([1-9]\)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclasses.dataclass(frozen=True)
class Array:
  """One array of a type; what is on the chip is outside main memory."""

  dtype: str
  dims: tuple[int, ...]
  on_chip: bool = False

  @property
  def size(self) -> int:
    return math.prod(self.dims)

  @property
  def nbytes(self) -> int:
    bits = re.search(r"\d+", self.dtype)
    return math.ceil(self.size * (int(bits[0]) if bits else 8) / 8)


@functools.lru_cache(maxsize=65536)
def parse_type(text: str) -> tuple[Array, ...]:
  """Arrays of a type such as `(f32[2,3]{1,0}, s32[])`, in order."""
  found = []
  for dtype, dims, layout in _ARRAY.findall(text):
    sizes = tuple(int(n.strip("<=")) for n in dims.split(",") if n)
    found.append(Array(dtype, sizes, bool(_ON_CHIP.search(layout))))
  return tuple(found)


@dataclasses.dataclass(frozen=True, eq=False)
class Instruction:
  """One line of a computation."""

  name: str
  opcode: str
  arrays: tuple[Array, ...]  # Of its result
  inputs: tuple["Instruction", ...]
  attributes: str  # What follows the operands
  argument: str  # Text between the parentheses
  is_root: bool  # Whether it is the computation's result

  def called(self, *keys: str) -> list[str]:
    """Computations that attributes of these names refer to."""
    found: list[str] = []
    for key in keys:
      pattern = rf"\b{key}=(\{{[^}}]*\}}|%[\w.\-]+)"
      for value in re.findall(pattern, self.attributes):
        found += _NAME.findall(value)
    return found

  @property
  def operands(self) -> list[Array]:
    """Arrays of all inputs."""
    return [array for one in self.inputs for array in one.arrays]


@dataclasses.dataclass(frozen=True)
class Module:
  """Instructions by computation; `entry` is what is run."""

  computations: dict[str, list[Instruction]]
  entry: str

  def trip_count(self, loop: Instruction) -> int:
    """How often a while loop runs; 1 where the program does not tell."""
    known = _TRIPS.search(loop.attributes)
    if known:
      return int(known[1])
    condition = self.computations[loop.called("condition")[0]]
    constants = (i.argument for i in condition if i.opcode == "constant")
    bounds = (int(value) for value in constants if value.isdigit())
    return max(bounds, default=1)


def parse(text: str) -> Module:
  """Reads `compiled.as_text()`."""
  computations: dict[str, dict[str, Instruction]] = {}
  entry, current = "", None
  for line in text.splitlines():
    if line.startswith("}"):
      current = None
    elif not line.startswith(" ") and line.endswith("{") and "->" in line:
      if name := _NAME.search(line):
        current = computations.setdefault(name[1], {})
        entry = name[1] if line.startswith("ENTRY") else entry
    elif current is not None and " = " in line:
      instruction = _parse_line(line, current)
      current[instruction.name] = instruction
  if not entry:
    raise ValueError("the text of the program has no entry computation")
  listed = {name: list(lines.values()) for name, lines in computations.items()}
  return Module(listed, entry)


def _parse_line(line: str, before: dict[str, Instruction]) -> Instruction:
  """One such as `ROOT %a = f32[2]{0} add(%b, %c), metadata={}`.

  Its operands are among the instructions before it.
  """
  left, _, rest = line.strip().partition(" = ")
  rest = _COMMENT.sub("", rest) if "/*" in rest else rest
  end = _closing(rest, 0) + 1 if rest[0] == "(" else rest.index(" ")
  result, rest = rest[:end], rest[end:].lstrip()
  opens = rest.index("(")
  closes = _closing(rest, opens)
  argument = rest[opens + 1 : closes]
  return Instruction(
    name=left.removeprefix("ROOT ").lstrip("%"),
    opcode=rest[:opens],
    arrays=parse_type(result),
    inputs=tuple(before[name] for name in _NAME.findall(argument)),
    attributes=rest[closes + 1 :],
    argument=argument,
    is_root=left.startswith("ROOT "),
  )


def _closing(text: str, start: int) -> int:
  """Place of the parenthesis that closes the one at `start`."""
  depth = 0
  for at in range(start, len(text)):
    depth += (text[at] == "(") - (text[at] == ")")
    if depth == 0:
      return at
  raise ValueError(f"a parenthesis is not closed: {text[:80]}")
