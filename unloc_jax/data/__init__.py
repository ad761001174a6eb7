"""Input: built datasets to batches of frames (or embeddings) and token ids."""

import contextlib
import os


def reuse_memory() -> None:
  """Has TensorFlow keep the memory of its tensors, unless the user chose.

  Blocks as large as a batch of frames the C library gives back to the system;
  mapping and zeroing them anew took a quarter of the time of reading. This is
  read by TensorFlow at its first operation, not when it is imported.
  """
  os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
  # Not every system says how much it has; TensorFlow then stops at 64 GiB.
  with contextlib.suppress(AttributeError, ValueError, OSError):
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(total >> 20))


# What TensorFlow misses at its start is no concern of ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
reuse_memory()
