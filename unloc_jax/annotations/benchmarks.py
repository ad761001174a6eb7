"""The benchmarks, as values: who reads them, what they hold, how they score."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

from unloc_jax.annotations import custom, detection, folds, kinetics, moments
from unloc_jax.annotations.records import AnnotationSet


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
  # Split -> published counts
  official: Mapping[str, Official] = dataclasses.field(default_factory=dict)
  # Published number of classes, None for captions
  class_count: int | None = None
  metric: str = ""  # Module of `unloc_jax.metrics` that scores it, "" for none
  subset: str = ""  # What its files call the videos that are scored
  tiou: tuple[float, ...] = ()  # Thresholds of detection; () for ActivityNet's
  # System -> figure -> percent, what others report
  published: Mapping[str, Mapping[str, float]] = dataclasses.field(
    default_factory=dict
  )
  also: str = ""  # Another name of it on the command line


def _figures(names: str, *values: float) -> dict[str, float]:
  return dict(zip(names.split(), values, strict=True))


_RECALLS = "R1@0.5 R1@0.7 R5@0.5 R5@0.7"
_PRECISIONS = "mAP@0.5 mAP@0.75 mAP@0.95 mAP"
_HIGHLIGHTS = "MR-full-R1@0.5 MR-full-R1@0.7 MR-full-mAP HL-min-VeryGood-mAP"
# On all five folds, from its published predictions.
_ED_TCN = (64.4, 59.8, 67.1, 63.0, 51.9)
_QVH_NOTE = (
  "the paper counts 10,310 queries in all, 7,218 / 1,550 / 1,542; one less"
  " a split is the number of newlines in files that end without one"
)
_MISSING_NOTE = (
  "about a tenth of the source videos no longer exist; without these, and as"
  " BSN's file has it, 9,649 and 4,728 are left"
)

BENCHMARKS: dict[str, Benchmark] = {
  b.name: b
  for b in (
    Benchmark(
      "anet_captions",
      "ActivityNet Captions",
      moments.read_captions,
      {
        "train": Official((10_009, 10_009), (37_421, 37_421)),
        "val": Official((4_917, 4_917), (17_505, 17_505)),
        "test": Official((4_885, 4_885), (17_031, 17_031)),
      },
      metric="recall",
      published={
        "SnAG (C3D), val_2": _figures(_RECALLS, 47.4, 29.9, 82.6, 63.3)
      },
    ),
    Benchmark(
      "charades_sta",
      "Charades-STA",
      moments.read_charades,
      {
        "train": Official(
          queries=(12_404, 12_408), note="copies differ by up to four bad lines"
        ),
        "test": Official(queries=(3_720, 3_720)),
      },
      metric="recall",
      published={"SnAG (I3D)": _figures(_RECALLS, 65.2, 46.3, 93.0, 73.1)},
    ),
    Benchmark("tacos", "TACoS", moments.read_captions, metric="recall"),
    Benchmark(
      "qvhighlights",
      "QVHighlights",
      moments.read_jsonl,
      {
        "train": Official(queries=(7_217, 7_218), note=_QVH_NOTE),
        "val": Official(queries=(1_549, 1_550), note=_QVH_NOTE),
        "test": Official(queries=(1_541, 1_542), note=_QVH_NOTE),
      },
      metric="qvhighlights",
      published={"R2-Tuning": _figures(_HIGHLIGHTS, 67.7, 51.9, 47.9, 39.5)},
    ),
    Benchmark(
      "anet",
      "ActivityNet 1.3",
      detection.read_anet,
      {
        "train": Official((10_024, 10_024), note=_MISSING_NOTE),
        "val": Official((4_926, 4_926), note=_MISSING_NOTE),
      },
      class_count=200,
      metric="detection",
      subset="validation",
      published={
        "AdaTAD VideoMAE-L, no external classifier": _figures(
          _PRECISIONS, 59.0, 40.0, 9.2, 39.2
        ),
        "ActionFormer (TSP, external scores)": _figures(
          _PRECISIONS, 54.7, 37.8, 8.4, 36.6
        ),
      },
      also="anet_tal",
    ),
    Benchmark(
      "coin",
      "COIN",
      detection.read_coin,
      {
        "train": Official(
          (8_461, 9_030),
          note="9,030 listed; 8,461 is what the reference still had",
        ),
        "test": Official((2_797, 2_797)),
      },
      class_count=778,
      metric="detection",
      subset="testing",
    ),
    Benchmark(
      "thumos14",
      "THUMOS14",
      detection.read_thumos14,
      {
        "train": Official((200, 200)),
        "test": Official(
          (210, 213),
          note="213 test videos; copies leave out those whose"
          " annotations are wrong or empty",
        ),
      },
      class_count=20,
      metric="detection",
      subset="test",
      tiou=(0.3, 0.4, 0.5, 0.6, 0.7),
    ),
    Benchmark(
      "50salads",
      "50 Salads",
      folds.read,
      class_count=17,
      metric="segmentation",
      published={
        "ED-TCN": _figures("accuracy edit f1@10 f1@25 f1@50", *_ED_TCN)
      },
    ),
    Benchmark("gtea", "GTEA", folds.read, metric="segmentation"),
    *(
      Benchmark(
        f"kinetics{count}",
        f"Kinetics-{count}",
        kinetics.read,
        class_count=count,
        metric="classification",
      )
      for count in (400, 600, 700)
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
