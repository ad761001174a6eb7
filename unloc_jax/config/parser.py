"""The command line of all commands."""

import argparse
import sys
from typing import Any, NoReturn

# Texts, which are checked where they are used, and options of another tool.
_MAY_BE_EMPTY = ("beam", "query")


class Parser(argparse.ArgumentParser):
  """Says what is wrong with a command line in one line.

  `doc` is what --help begins with, as it stands; `module` is what is run.
  """

  def __init__(self, doc: str | None, module: str = ""):
    super().__init__(
      prog=f"python -m {module}" if module else None,
      description=doc,
      formatter_class=argparse.RawDescriptionHelpFormatter,
      allow_abbrev=False,
    )

  def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
    """Values of an option; an empty one is of a shell's unset variable."""
    may_be_empty = action.dest in _MAY_BE_EMPTY
    if not may_be_empty and not all(text.strip() for text in arg_strings):
      name = (action.option_strings or [action.dest])[-1]
      self.error(f"{name} is empty; give one, or leave it out")
    return super()._get_values(action, arg_strings)

  def error(self, message: str) -> NoReturn:
    """Ends the command with status 1."""
    sys.exit(f"error: {' '.join(message.split())}")
