"""Memory of TensorFlow's tensors that is used again, not returned.

A batch of frames is tens of megabytes. Blocks of that size the C library gives
back to the system when they are freed, and each page of the next batch is then
mapped and zeroed anew, which took a quarter of the time of reading. TensorFlow
has another allocator ("best fit with coalescing"), which keeps what it has.
"""

import contextlib
import os

# Read by TensorFlow at its first operation, not when it is imported.
_REUSE = "TF_CPU_ALLOCATOR_USE_BFC"
_LIMIT = "TF_CPU_BFC_MEM_LIMIT_IN_MB"


def reuse() -> None:
  """Chooses that allocator, unless the user's environment chose already.

  Without effect, and without harm, after TensorFlow's first operation.
  """
  os.environ.setdefault(_REUSE, "1")
  # Not every system says how much it has; TensorFlow then stops at 64 GiB.
  with contextlib.suppress(AttributeError, ValueError, OSError):
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    os.environ.setdefault(_LIMIT, str(total >> 20))
