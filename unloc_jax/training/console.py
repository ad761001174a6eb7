"""What a run says on the terminal: its own lines, not those of libraries."""

import logging as python_logging
import pathlib
import sys
from typing import Any

import jax
import tqdm
from absl import flags, logging

from unloc_jax.data.batch_stream import BatchStream

_PACKAGE = str(pathlib.Path(__file__).parent.parent)
# The parts of CLU that speak for the loop: figures, and progress with ETA.
_SPEAKERS = (
  "clu/metric_writers/logging_writer.py",
  "clu/platform/local.py",
)
_PREFIX = "Setting work unit notes: "
# What progress says already.
_REPEATED = ("steps_per_sec=", "uptime=")


def _is_ours(record: python_logging.LogRecord) -> bool:
  """Whether a user should see a record; the first process speaks for all."""
  path = pathlib.Path(record.pathname).as_posix()
  if "/orbax/" in path:
    return False  # What it raises is told, and what it warns of is meant so.
  if record.levelno >= python_logging.WARNING:
    return True
  ours = path.startswith(_PACKAGE) or path.endswith(_SPEAKERS)
  repeated = record.getMessage().partition("] ")[2].startswith(_REPEATED)
  return ours and not repeated and jax.process_index() == 0


class _Lines(python_logging.Formatter):
  """Time of day and message; the level where it is a warning."""

  def format(self, record: python_logging.LogRecord) -> str:
    record.msg = str(record.msg).removeprefix(_PREFIX)
    line = super().format(record)
    warns = record.levelno >= python_logging.WARNING
    return f"{record.levelname.lower()}: {line}" if warns else line


def _of_threads(what: Any) -> None:
  """Shows what nobody could catch, but for writers whose fellow has failed.

  Of a full disk every one would complain; the checkpoint does, in a line.
  """
  if str(what.exc_value) != "Event loop is closed":
    sys.__unraisablehook__(what)


def progress(batches: BatchStream, what: str) -> Any:
  """The batches, with a bar where somebody is watching."""
  return tqdm.tqdm(batches, what, batches.length, unit="batch", disable=None)


def configure() -> None:
  """Shows this package's messages, and of libraries only warnings."""
  sys.unraisablehook = _of_threads
  flags.FLAGS.mark_as_parsed()  # Else absl says that they are not.
  logging.use_absl_handler()
  logging.set_verbosity(logging.INFO)
  handler = logging.get_absl_handler().python_handler
  handler.addFilter(_is_ours)
  handler.setFormatter(_Lines("%(asctime)s %(message)s", "%H:%M:%S"))
