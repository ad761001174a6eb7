"""SIGTERM, by which schedulers say that a machine is about to be taken away."""

import signal
import threading
from types import FrameType
from typing import Any

import jax
from absl import logging
from jax.experimental import multihost_utils


class PreemptedError(Exception):
  """The run was asked to stop; the message says how to go on."""


class Watch:
  """Notices SIGTERM, so that a run stops where it can save its state.

  A lone process handles the signal itself; a second one ends it at once. Of
  several processes JAX's coordination service notices it, and lets all of
  them stop at the same step.
  """

  def __init__(self) -> None:
    self._asked = False
    self._previous: Any = None
    # Python allows handlers in the main thread only.
    in_main = threading.current_thread() is threading.main_thread()
    self._alone = jax.process_count() == 1
    self._handles = self._alone and in_main
    if self._handles:
      self._previous = signal.signal(signal.SIGTERM, self._note)

  def _note(self, number: int, frame: FrameType | None) -> None:
    del number, frame
    self._asked = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

  def check(self, step: int) -> None:
    """Raises PreemptedError where the run is to stop after this step."""
    if self._alone:
      self.check_between()
    elif multihost_utils.reached_preemption_sync_point(step):
      raise PreemptedError

  def check_between(self) -> None:
    """The same between steps, where only a lone process may stop."""
    if self._asked:
      logging.info("SIGTERM came: saving and stopping.")
      raise PreemptedError

  def close(self) -> None:
    """Puts the handler back that was there before."""
    if self._handles:
      signal.signal(signal.SIGTERM, self._previous)
      self._handles = False
