"""Memory of batches is used again; the user's own choice stands."""

import os
import subprocess
import sys

from unloc_jax import data

# What TensorFlow reads at its first operation, then which allocator it has.
ASK = """
import os
import tensorflow as tf
from unloc_jax.data import pipeline  # After TensorFlow, as users may.
tf.fill([8], 1)
print(os.environ["TF_CPU_ALLOCATOR_USE_BFC"])
"""


def test_tensorflow_is_told_to_keep_its_memory():
  environment = {
    k: v for k, v in os.environ.items() if not k.startswith("TF_CPU_")
  }
  environment["TF_CPP_MIN_LOG_LEVEL"] = "0"
  environment["TF_CPP_VMODULE"] = "bfc_allocator=1"
  done = subprocess.run(
    [sys.executable, "-c", ASK],
    env=environment,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.split()[-1] == "1"
  # The allocator names itself in TensorFlow's own log, where it is in use.
  assert "Creating new BFCAllocator" in done.stderr


def test_what_the_user_chose_stands(monkeypatch):
  monkeypatch.setenv("TF_CPU_ALLOCATOR_USE_BFC", "0")
  data.reuse_memory()
  assert os.environ["TF_CPU_ALLOCATOR_USE_BFC"] == "0"
