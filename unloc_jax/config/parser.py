"""The command line of all commands."""

import argparse
import os
import sys
import types
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

  def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
    """As its base; from here on Ctrl-C ends the command in a line."""
    sys.excepthook = _say
    return super().parse_known_args(*args, **kwargs)

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


def _say(
  kind: type[BaseException],
  error: BaseException,
  trace: types.TracebackType | None,
) -> None:
  """What Python calls with what ends it: a Ctrl-C is no error."""
  if issubclass(kind, KeyboardInterrupt):
    print("stopped", file=sys.stderr)
  else:
    sys.__excepthook__(kind, error, trace)


def show(text: str) -> None:
  """Writes lines to the standard output, in UTF-8; OSError if it cannot."""
  if sys.stdout is None:
    raise OSError("the standard output is closed; open it, or write to a file")
  text += "\n" * (not text.endswith("\n"))
  try:
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
      sys.stdout.buffer.write(text.encode())
    else:  # A notebook's.
      sys.stdout.write(text)
    sys.stdout.flush()
  except OSError as error:
    # Python would write again, and complain, as it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    what = f"the standard output: {error.strerror}"
    raise OSError(error.errno, what) from error
