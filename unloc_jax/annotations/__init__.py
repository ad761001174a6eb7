"""Official annotation and submission files: the only readers there are.

`benchmark(name).read(place)` reads a benchmark's annotations for a dataset;
`pairing.read`, `detection_submissions.read` and `frames.read` read a submission
beside its annotations, as the arrays that `unloc_jax.metrics` scores.
"""

from unloc_jax.annotations.benchmarks import (
  BENCHMARKS,
  Benchmark,
  Official,
  benchmark,
)
from unloc_jax.annotations.reading import AnnotationError
from unloc_jax.annotations.records import AnnotationSet, SplitNotes

__all__ = [
  "BENCHMARKS",
  "AnnotationError",
  "AnnotationSet",
  "Benchmark",
  "Official",
  "SplitNotes",
  "benchmark",
]
