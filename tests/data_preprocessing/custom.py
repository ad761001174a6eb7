"""Builds of a folder's videos as its train.jsonl has them."""

import json
import pathlib
from typing import Any

from data_preprocessing import build


def flags(folder: pathlib.Path, out: pathlib.Path | None = None) -> list[str]:
  """Returns what builds FOLDER/in; to FOLDER/out where not told otherwise."""
  return [
    "--dataset=custom",
    f"--annotations={folder / 'train.jsonl'}",
    f"--videos={folder / 'in'}",
    f"--data_dir={out or folder / 'out'}",
    "--workers=1",
  ]


def write_lines(path: pathlib.Path, lines: list[dict[str, Any]]) -> None:
  """Writes annotations, a video a line."""
  path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


def dataset(
  folder: pathlib.Path, lines: list[dict[str, Any]], *more: str
) -> pathlib.Path:
  """Builds what lines say of a folder; returns where the dataset is."""
  write_lines(folder / "train.jsonl", lines)
  assert build.main([*flags(folder), *more]) == 0
  return folder / "out" / "custom" / "1.0.0"
