"""The command line of commands that take a config."""

import argparse
import difflib
import pathlib
import re
from collections.abc import Iterable, Sequence

import ml_collections
from absl import flags as absl_flags
from ml_collections import config_flags

from unloc_jax.config import schema
from unloc_jax.config.check import problems_of_run
from unloc_jax.config.parser import Parser

# How absl calls the module of a config file.
_MODULE = "module 'config_config'"


def parse(
  parser: Parser, argv: Sequence[str] | None = None
) -> tuple[argparse.Namespace, ml_collections.ConfigDict]:
  """Flags of a command, `--config` among them, and the config, locked."""
  parser.add_argument(
    "--config",
    metavar="FILE[:ARGUMENT]",
    help="such as configs/anet_mr.py:L; --config.KEY=VALUE changes a key",
  )
  flags, changes = parser.parse_known_args(argv)
  _check_file(parser, flags.config)
  known = dict(schema.leaves())
  for change in changes:
    name = change.partition("=")[0]
    key = name.removeprefix("--config.")
    if key == name and name.startswith("-"):
      asked = [a.option_strings[-1] for a in parser._actions]
      parser.error(f"{change}: there is no such flag{nearest(name, asked)}")
    if key != name and key not in known:
      parser.error(f"{change}: there is no key {key!r}{nearest(key, known)}")
  values = absl_flags.FlagValues()
  line = ["", f"--config={flags.config}", *changes]
  held = config_flags.DEFINE_config_file(
    "config", flag_values=values, sys_argv=line
  )
  try:
    rest = values(line)[1:]
    config = held.value
  except absl_flags.IllegalFlagValueError as error:
    wrong = re.match(r"flag --config\.([\w.]+)=(.*?): ", str(error), re.DOTALL)
    if not wrong:  # Of the file: the last line of a traceback.
      said = str(error).strip().splitlines()[-1]
      parser.error(f"--config={flags.config}: {said.partition(': ')[2]}")
    key, value = wrong.groups()
    parser.error(f"{key}={value} cannot be; give {known[key].allowed}")
  except absl_flags.Error as error:
    parser.error(str(error))
  except Exception as error:  # The file is code, which may raise anything.
    what = f"{type(error).__name__}: {error}"
    parser.error(f"--config={flags.config}: {what.replace(_MODULE, 'it')}")
  if not isinstance(config, ml_collections.ConfigDict):
    what = f"its get_config gives {config!r:.40}, no ConfigDict"
    parser.error(f"--config={flags.config}: {what}")
  config.lock()
  if rest:
    parser.error(f"unknown arguments: {' '.join(rest)}")
  for problem in problems_of_run(config):
    parser.error(problem)
  return flags, config


def _check_file(parser: Parser, name: str | None) -> None:
  there = sorted(map(str, pathlib.Path("configs").glob("[!_]*_*.py")))
  if not name:
    parser.error(f"give --config=FILE, one of {', '.join(there)}")
  path = name.partition(":")[0]
  if not pathlib.Path(path).is_file():
    parser.error(
      f"--config={name}: there is no such file{nearest(path, there)}"
    )


def nearest(word: str, known: Iterable[str]) -> str:
  """What a message of an unknown word ends with: the nearest, all known."""
  known = list(known)
  close = difflib.get_close_matches(word, known, 1, 0.8)
  hint = f"; did you mean {close[0]}?" if close else ""
  if len(known) > 40:
    return hint or "; unloc_jax/config/schema.py lists all of them"
  return f"{hint}; there are {', '.join(known)}" if known else hint
