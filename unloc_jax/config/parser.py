"""The command line of all commands."""

import argparse
import sys
from typing import NoReturn


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

  def error(self, message: str) -> NoReturn:
    """Ends the command with status 1."""
    sys.exit(f"error: {' '.join(message.split())}")
