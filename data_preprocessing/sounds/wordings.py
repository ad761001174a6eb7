"""How people ask for a sound: many wordings of one class.

wordings.txt has a line a class of ESC-10; the last three of each are asked in
tests alone.
"""

import pathlib

_FILE = pathlib.Path(__file__).with_suffix(".txt")
_WORDINGS = {
  label: tuple(said.split("; "))
  for label, said in (
    line.split(": ") for line in _FILE.read_text(encoding="utf-8").splitlines()
  )
}
_HELD_OUT = 3
# Of a class that is not among them.
_TEMPLATES = ("{}", "the sound of {}", "{} is heard", "one can hear {}")
LABELS = tuple(sorted(_WORDINGS))


def every(label: str) -> tuple[str, ...]:
  """All that a class is asked by, its label first."""
  return (label, *trained(label), *held_out(label))


def trained(label: str) -> tuple[str, ...]:
  """Wordings of a class to train on."""
  if label in _WORDINGS:
    return _WORDINGS[label][:-_HELD_OUT]
  return tuple(template.format(label) for template in _TEMPLATES)


def held_out(label: str) -> tuple[str, ...]:
  """Wordings that are never trained on; () of a class that is not known."""
  return _WORDINGS.get(label, ())[-_HELD_OUT:]
