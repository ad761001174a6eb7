"""Steps whose loss is not finite: counted, and the last one kept."""

import pathlib
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
from absl import logging

from unloc_jax import files

Batch = Mapping[str, Any]


class Guard:
  """Stops a run in which more steps were skipped than is allowed.

  A step is judged when the next one is on its way, so that the device never
  waits for the host. The last bad batch goes to WORKDIR/nonfinite/.
  """

  def __init__(self, workdir: str, allowed: int, skipped: int):
    self._folder = pathlib.Path(workdir) / "nonfinite"
    self._allowed, self._skipped = allowed, skipped
    self._last: tuple[int, Batch, Mapping[str, jax.Array]] | None = None

  def add(
    self, step: int, batch: Batch, metrics: Mapping[str, jax.Array]
  ) -> None:
    """Judges the step before this one, and remembers this one.

    Raises FloatingPointError where too many were skipped.
    """
    self.finish()
    self._last = step, batch, metrics

  def finish(self) -> None:
    """Judges the last step; raises as `add`."""
    if self._last is None:
      return
    (step, batch, metrics), self._last = self._last, None
    skipped = int(metrics["skipped"])
    if skipped == self._skipped:
      return
    self._skipped = skipped
    logging.warning(
      "Step %d was skipped: loss %g, gradient norm %g (%d skipped, %d allowed)",
      *(step, float(metrics["loss/total"]), float(metrics["gradient_norm"])),
      *(skipped, self._allowed),
    )
    if skipped > self._allowed:
      path = self._folder / f"step_{step}-{jax.process_index()}.npz"
      arrays = flax.traverse_util.flatten_dict(dict(batch), sep="_")
      files.write_arrays(path, **arrays)
      raise FloatingPointError(
        f"{skipped} steps were skipped because their loss was not finite, "
        f"train.max_skipped={self._allowed}; the batch of step {step} is in "
        f"{path}; lower optimizer.rates, or look for what is wrong with it"
      )
