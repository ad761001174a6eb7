"""Text on a terminal: one line where one is due, and never lost silently."""

import os
import sys
import unicodedata

from unloc_jax.use.naming import readable


def one_line(text: str) -> str:
  """Text in one line, without control characters."""
  line = " ".join(text.split())
  return "".join(c for c in line if unicodedata.category(c) not in ("Cc", "Cs"))


def fault(error: Exception) -> str:
  """An error in one line."""
  text = str(error)
  if isinstance(error, OSError) and error.strerror:
    text = error.strerror
    if error.filename is not None:
      text = f"{readable(str(error.filename))}: {text}"
  return one_line(text)


def show(text: str) -> None:
  """Writes lines to the standard output, in UTF-8; OSError if it cannot."""
  if sys.stdout is None:
    raise OSError("the standard output is closed; give --out")
  try:
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode() + b"\n" * (not text.endswith("\n")))
    sys.stdout.flush()
  except OSError as error:
    # Python would write again, and complain, as it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise OSError(f"the standard output: {error.strerror}") from error
