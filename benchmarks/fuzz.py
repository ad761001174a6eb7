"""Small valid files, mutated: each is parsed, or refused in one line.

  python -m benchmarks.fuzz --what readers --cases 100000 --seed 0

Case i of a reader follows from seed, reader and i alone. What is parsed must be
sound, and where there is a writer, what it writes must be read back the same.
Exits with 1 if any case went wrong; prints the first of them.
"""

import argparse
import collections
import json
import pathlib
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import tqdm

from benchmarks import fuzz_targets, fuzz_videos, record
from unloc_jax.media.pool import Pool

ODD: tuple[Any, ...] = (
  *(None, True, -1, 0, 1.5, 10**400, 1e300, -0.0, float("nan"), float("inf")),
  *("", " ", "nan", "1_0", "\ud83d", "\u2028", "a\x85b", "\ufeff", "é" * 9),
  *("²", [], {}, [[]], {"": []}, [None], [1, 2, 3], "all", "a/b", "1e999"),
  2**63,
)
PIECES = (
  *(b'"', b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"[", b"{", b"}]"),
  *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\\ud83d", "\u2028".encode()),
  *(b"\x85", b"\x0c", b"##", b"NaN", b"1e999", b"null"),
  *(b"[" * 2000, b"9" * 5000),
)


def _places(value: Any) -> list[tuple[Any, Any]]:
  """(container, key) of everything inside a JSON value."""
  keys: Sequence[Any] = ()
  if isinstance(value, dict | list):
    keys = list(value) if isinstance(value, dict) else range(len(value))
  return [
    place for key in keys for place in [(value, key), *_places(value[key])]
  ]


def mutate_value(value: Any, rng: random.Random) -> Any:
  """Drops, doubles, retypes, nests or renames something in a JSON value."""
  places = _places(value)
  if not places:
    return rng.choice(ODD)
  holder, key = rng.choice(places)
  act = rng.randrange(5)
  if act == 0:
    del holder[key]
  elif act == 1 and isinstance(holder, list):
    holder.insert(key, holder[key])
  elif act == 2:
    for _ in range(rng.choice((1, 2, 40))):
      holder[key] = [holder[key]]
  elif act == 3 and isinstance(holder, dict):
    holder[str(rng.choice(ODD))] = holder.pop(key)
  else:
    holder[key] = json.loads(json.dumps(rng.choice(ODD)))
  return value


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
  """Cuts, doubles or swaps a part, puts in a piece, or encodes it anew."""
  first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
  part, act = data[first:last], rng.randrange(7)
  lines = data.split(b"\n")
  if act == 0:
    return data[:first] + data[last:]
  if act == 1:
    return data[:last] + part + data[last:]
  if act == 2:
    rng.shuffle(lines)
    return rng.choice((b"\n", b"\r\n", b"\r", b"\n\n")).join(lines)
  if act == 3:
    return b"\n".join([*lines, rng.choice(lines)])
  if act == 4:
    text = data.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-8-sig", "utf-16-le")))
  return data[:first] + rng.choice(PIECES) + data[first:]


def mutate(data: bytes, rng: random.Random) -> bytes:
  """One to three mutations, of JSON values or else of bytes."""
  for _ in range(rng.randint(1, 3)):
    try:
      lines = data.decode().split("\n")
      row = rng.randrange(len(lines))
      value = mutate_value(json.loads(lines[row]), rng)
      lines[row] = json.dumps(value, ensure_ascii=rng.random() < 0.5)
      structured = "\n".join(lines).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # Not of this form, or no longer.
      structured = b""
    if structured and rng.random() < 0.7:
      data = structured
    else:
      data = mutate_bytes(data, rng)
  return data


def try_case(
  target: fuzz_targets.Target,
  folder: pathlib.Path,
  key: str,
  change: Callable[[bytes, random.Random], bytes],
) -> str:
  """Runs one case; returns how it ended, or "KEY: what went wrong"."""
  rng = random.Random(key)
  chosen = rng.choice(sorted(target.files))
  (folder / chosen).write_bytes(change(target.files[chosen], rng))
  try:
    target.run(folder)
  except target.allowed as error:
    one = len(str(error).strip().split("\n")) == 1 and str(error).strip()
    end = str(getattr(error, "reason", "refused"))
    return end if one else f"{key}: not one line: {error!r}"
  except Exception as error:  # That there is none is what is tested.
    return f"{key}: {type(error).__name__}: {error}"
  finally:
    (folder / chosen).write_bytes(target.files[chosen])
  return "read"


def keep(rows: Sequence[Sequence[Any]], flags: argparse.Namespace) -> None:
  """Writes the counts to benchmarks/results."""
  asked = f"--what {flags.what} --cases {flags.cases} --seed {flags.seed}"
  record.write(
    f"fuzz_{flags.what}",
    f"python -m benchmarks.fuzz {asked} --record",
    [
      f"unloc_jax/{room}"
      for room in ("config", "media", "annotations", "metrics")
    ],
    (flags.what, "cases", "read", "refused", "wrong"),
    rows,
    seeds=[flags.seed],
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs all cases; prints counts and what went wrong."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  whats = (*fuzz_targets.TARGETS, "video")
  parser.add_argument("--what", required=True, choices=whats)
  parser.add_argument("--only", help="one of its files, by name")
  parser.add_argument("--cases", type=int, default=1000, help="of each")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--record", action="store_true", help="keep the counts")
  flags = parser.parse_args(argv)
  warnings.simplefilter("error")
  failed, rows = False, []
  with Pool(1, memory_gib=4) as pool, tempfile.TemporaryDirectory() as place:
    if flags.what == "video":
      change = fuzz_videos.mutate
      targets = fuzz_videos.targets(pool, pathlib.Path(place))
    else:
      change = mutate
      targets = fuzz_targets.TARGETS[flags.what]
    for name, target in targets.items():
      if flags.only not in (None, name):
        continue
      folder = pathlib.Path(place) / name
      folder.mkdir()
      for file, content in target.files.items():
        (folder / file).write_bytes(content)
      keys = [f"{name}-{flags.seed}-{i}" for i in range(flags.cases)]
      ends = collections.Counter(
        try_case(target, folder, key, change)
        for key in tqdm.tqdm(keys, desc=name, mininterval=5)
      )
      wrong = [end for end in ends if end.startswith(f"{name}-")]
      told = [f"{n} {end}" for end, n in ends.items() if end not in wrong]
      print(
        ", ".join([f"{name}: {len(keys)} cases", *told, f"{len(wrong)} wrong"]),
        flush=True,
      )
      for text in wrong[:20]:
        print(f"  {text[:300]}")
      failed |= bool(wrong)
      read = ends["read"]
      refused = ends.total() - read - len(wrong)
      rows.append((name, len(keys), read, refused, len(wrong)))
  if flags.record:
    keep(rows, flags)
  return int(failed)


if __name__ == "__main__":
  sys.exit(main())
