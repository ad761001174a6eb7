"""What is wrong with a submission, said in one line each."""

from collections.abc import Iterable

LISTED = 20


class MetricsError(ValueError):
  """A submission or ground truth that cannot be scored as it stands."""


class Problems:
  """Raises at the first bad entry, or notes it and lets the caller skip it.

  Attributes:
    lenient: Whether to go on.
    skipped: One line for each entry that was left out.
  """

  def __init__(self, lenient: bool = False):
    self.lenient = lenient
    self.skipped: list[str] = []

  def report(self, where: str, name: object, what: str, instead: str) -> None:
    """States one bad entry.

    Args:
      where: File and line.
      name: Id of the query or video.
      what: What is wrong with it.
      instead: What a lenient run does about it, as a past participle.

    Raises:
      MetricsError: Unless lenient.
    """
    line = f"{where}: {name}: {what}"
    if not self.lenient:
      raise MetricsError(
        f"{line}; correct the file, or pass --lenient to go on without"
      )
    self.skipped.append(f"{line}; {instead}")


def summarize(lines: Iterable[str], listed: int = LISTED) -> list[str]:
  """Returns the first lines, and how many more there were."""
  lines = list(lines)
  more = len(lines) - listed
  return lines[:listed] + ([f"and {more} more"] if more > 0 else [])
