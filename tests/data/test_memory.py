"""Memory of batches is used again; the user's own choice stands."""

import os
import subprocess
import sys

import pytest

# What TensorFlow reads at its first operation, then which allocator it has.
ASK = """
import os
import tensorflow as tf
from unloc_jax.data import pipeline  # After TensorFlow, as users may.
tf.fill([8], 1)
print(os.environ["TF_CPU_ALLOCATOR_USE_BFC"])
"""


@pytest.mark.parametrize(("chosen", "read"), [(None, "1"), ("0", "0")])
def test_tensorflow_is_told_to_keep_its_memory(chosen, read):
  environment = {
    k: v for k, v in os.environ.items() if not k.startswith("TF_CPU_")
  }
  environment["TF_CPP_MIN_LOG_LEVEL"] = "0"
  environment["TF_CPP_VMODULE"] = "bfc_allocator=1"
  if chosen is not None:
    environment["TF_CPU_ALLOCATOR_USE_BFC"] = chosen
  done = subprocess.run(
    [sys.executable, "-c", ASK],
    env=environment,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.split()[-1] == read
  # The allocator names itself in TensorFlow's own log, where it is in use.
  assert ("Creating new BFCAllocator" in done.stderr) == (read == "1")
