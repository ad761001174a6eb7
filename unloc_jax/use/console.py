"""Text on a terminal: one line where one is due, and never lost silently."""

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
