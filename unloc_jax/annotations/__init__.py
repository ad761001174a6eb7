"""Official annotation files, read into one common form."""

from unloc_jax.annotations.benchmarks import (
  BENCHMARKS,
  Benchmark,
  Official,
  benchmark,
)
from unloc_jax.annotations.common import (
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
