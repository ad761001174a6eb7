"""The command line of commands that take a config: `--config`, `--workdir`.

Importing this declares both flags.
"""

import re
import sys

import ml_collections
from absl import flags
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "Config file, with its argument after a colon."
)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Folder of the run: checkpoints, logs, results."
)


def config() -> ml_collections.ConfigDict:
  """The config of the command line, locked."""
  found: ml_collections.ConfigDict = _CONFIG.value
  return found.lock()


def config_name() -> str:
  """File and argument of the config, as given."""
  return str(flags.FLAGS["config"].config_filename)  # type: ignore[attr-defined]


def workdir() -> str | None:
  """The run's folder; None where it was not given."""
  found: str | None = _WORKDIR.value
  return found


def parse(argv: list[str]) -> list[str]:
  """Parses the command line; a config or key that is not there is one line."""
  try:
    rest: list[str] = flags.FLAGS(argv)
    config()  # A file that cannot be loaded is noticed only now.
  except AttributeError as error:
    key = str(error).strip("\"'")
    wrong = [arg for arg in argv if key in re.split(r"[.=\[]", arg)]
    sys.exit(
      f"error: {' '.join(wrong) or 'config'}: there is no key {key!r}; "
      "unloc_jax/config/schema.py lists all of them"
    )
  except (flags.Error, KeyError, OSError, TypeError, ValueError) as error:
    sys.exit(f"error: {' '.join(str(error).split())}")
  if len(rest) > 1:
    sys.exit(f"error: unknown arguments: {' '.join(rest[1:])}")
  return rest
