"""Official annotation files, read into one common form."""

from data_preprocessing.annotations.benchmarks import BENCHMARKS
from data_preprocessing.annotations.benchmarks import Benchmark
from data_preprocessing.annotations.benchmarks import Official
from data_preprocessing.annotations.benchmarks import benchmark
from data_preprocessing.annotations.common import AnnotationError
from data_preprocessing.annotations.common import AnnotationSet
from data_preprocessing.annotations.common import SplitNotes

__all__ = [
    "BENCHMARKS",
    "AnnotationError",
    "AnnotationSet",
    "Benchmark",
    "Official",
    "SplitNotes",
    "benchmark",
]
