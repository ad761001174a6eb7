"""UnLoc in JAX: finding moments in untrimmed videos from language."""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from unloc_jax.use.localizer import Localizer

__all__ = ["Localizer"]


if "tensorflow" not in sys.modules:
  # Read when TensorFlow is loaded, which announces its kernels and level at
  # every start. Its oneDNN kernels are none that we call, and they would make
  # figures follow the processor.
  os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def __getattr__(name: str) -> Any:
  # JAX takes a second to import; what only reads data needs none of it.
  if name == "Localizer":
    from unloc_jax.use.localizer import Localizer

    return Localizer
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
