"""Official annotation files, read into one common form."""

from data_preprocessing.annotations.benchmarks import (
  BENCHMARKS,
  Benchmark,
  Official,
  benchmark,
)
from data_preprocessing.annotations.common import (
  AnnotationError,
  AnnotationSet,
  SplitNotes,
)

__all__ = [
  "BENCHMARKS",
  "AnnotationError",
  "AnnotationSet",
  "Benchmark",
  "Official",
  "SplitNotes",
  "benchmark",
]
