"""UnLoc in JAX: finding moments in untrimmed videos from language."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from unloc_jax.localizer import Localizer

__all__ = ["Localizer"]


def __getattr__(name: str) -> Any:
  # JAX takes a second to import; what only reads data needs none of it.
  if name == "Localizer":
    from unloc_jax.localizer import Localizer

    return Localizer
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
