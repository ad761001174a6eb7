"""Memory of batches is used again; the user's own choice stands."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource
import tensorflow as tf
from unloc_jax.data import pipeline  # After TensorFlow, as users may.
one = tf.constant(1, tf.uint8)
def faults():
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  tf.fill([{size}], one)
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
counts = [faults() for _ in range(6)]
print(min(counts[2:]))
"""
# Above every threshold from which the C library returns a block at once.
SIZE = 80_000_000


@pytest.mark.parametrize("chosen", [None, "0"])
def test_a_batch_is_written_where_the_last_one_was(chosen):
  pytest.importorskip("resource")
  environment = {
    k: v for k, v in os.environ.items() if not k.startswith("TF_CPU_")
  }
  if chosen is not None:
    environment["TF_CPU_ALLOCATOR_USE_BFC"] = chosen
  done = subprocess.run(
    [sys.executable, "-c", FAULTS.format(size=SIZE)],
    env=environment, capture_output=True, text=True, check=True,
  )  # fmt: skip
  found = int(done.stdout.split()[-1])
  # Huge pages would make it fewer, never none.
  assert found == 0 if chosen is None else found > 0
