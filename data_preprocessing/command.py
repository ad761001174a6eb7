"""What every command here does with what goes wrong: it says it in one line."""

import os
import sys
from collections.abc import Callable

from unloc_jax.config.parser import show


def ended(run: Callable[[], str], place: str | os.PathLike[str]) -> int:
  """Runs a command and prints what it returns; returns the exit status.

  The place is what it writes to, named where an error of the disk names none.
  """
  try:
    show(run())
  except (ValueError, OSError) as error:
    said = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
      where = os.fspath(error.filename or place)
      said = f"{where}: {error.strerror}; make room or correct the path, then"
      said += " run the same command to go on"
    print(f"error: {said}", file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print("stopped; run the same command to go on", file=sys.stderr)
    return 130
  return 0
