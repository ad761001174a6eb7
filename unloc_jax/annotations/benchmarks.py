"""The benchmarks, as values: who reads them, what they hold, how they score.

Counts that their owners publish, and figures of others (50 Salads: on all five
folds, from published predictions), are in published.json.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping

from unloc_jax.annotations import custom, detection, folds, kinetics, moments
from unloc_jax.annotations.records import AnnotationSet

_PUBLISHED = json.loads(
  pathlib.Path(__file__).with_name("published.json").read_text("utf-8")
)


@dataclasses.dataclass(frozen=True)
class Official:
  """Published counts of one split; (fewest, most) where sources differ."""

  videos: tuple[int, int] | None = None  # Videos, None where not published
  # Queries, None where not published or not asked
  queries: tuple[int, int] | None = None
  note: str = ""  # Why another count may be right


@dataclasses.dataclass(frozen=True)
class Benchmark:
  """One benchmark."""

  name: str  # As on the command line
  title: str  # As people write it
  # Reads its annotation files from a folder, or from one file
  read: Callable[[pathlib.Path], AnnotationSet]
  metric: str = ""  # Module of `unloc_jax.metrics` that scores it, "" for none
  # Published number of classes, None for captions
  class_count: int | None = None
  subset: str = ""  # What its files call the videos that are scored
  tiou: tuple[float, ...] = ()  # Thresholds of detection; () for ActivityNet's
  also: str = ""  # Another name of it on the command line

  @property
  def official(self) -> dict[str, Official]:
    """Split -> published counts."""
    said = _PUBLISHED.get(self.name, {})
    note = said.get("note", "")
    counts = said.get("official", {})
    return {
      split: Official(**each, note=note) for split, each in counts.items()
    }

  @property
  def published(self) -> Mapping[str, Mapping[str, float]]:
    """System -> figure -> percent, what others report."""
    others: dict[str, dict[str, float]]
    others = _PUBLISHED.get(self.name, {}).get("others", {})
    return others


BENCHMARKS: dict[str, Benchmark] = {
  b.name: b
  for b in (
    Benchmark(
      "anet_captions", "ActivityNet Captions", moments.read_captions, "recall"
    ),
    Benchmark("charades_sta", "Charades-STA", moments.read_charades, "recall"),
    Benchmark("tacos", "TACoS", moments.read_captions, "recall"),
    Benchmark(
      "qvhighlights", "QVHighlights", moments.read_jsonl, "qvhighlights"
    ),
    Benchmark(
      *("anet", "ActivityNet 1.3", detection.read_anet, "detection", 200),
      subset="validation",
      also="anet_tal",
    ),
    Benchmark(
      *("coin", "COIN", detection.read_coin, "detection", 778),
      subset="testing",
    ),
    Benchmark(
      *("thumos14", "THUMOS14", detection.read_thumos14, "detection", 20),
      subset="test",
      tiou=(0.3, 0.4, 0.5, 0.6, 0.7),
    ),
    Benchmark("50salads", "50 Salads", folds.read, "segmentation", 17),
    Benchmark("gtea", "GTEA", folds.read, "segmentation"),
    *(
      Benchmark(
        f"kinetics{n}", f"Kinetics-{n}", kinetics.read, "classification", n
      )
      for n in (400, 600, 700)
    ),
    Benchmark("custom", "your own videos", custom.read),
  )
}


def benchmark(name: str) -> Benchmark:
  """Returns a benchmark by name. Raises ValueError listing the names."""
  for each in BENCHMARKS.values():
    if name in (each.name, each.also) and name:
      return each
  raise ValueError(
    f"--dataset {name}: not known; choose from {', '.join(BENCHMARKS)}"
  )
