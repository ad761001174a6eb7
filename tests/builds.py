"""Builds in the process of the test: another one imports all of it again."""

from collections.abc import Callable
from typing import Any

import pytest

from unloc_jax.media import pool


class Here:
  """What a pool of one process does, in this one."""

  def __enter__(self) -> "Here":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def run(
    self, function: Callable[..., Any], *args: Any, stall_seconds: float
  ) -> Any:
    return pool._call(0, function, args)

  def close(self) -> None:
    pass


def one_worker_here(patch: pytest.MonkeyPatch) -> None:
  """Makes builds of one worker decode here; of more, as users' do."""
  from data_preprocessing import beam_runner

  def start(count: int) -> Here | pool.Pool:
    return Here() if count == 1 else pool.Pool(count)

  patch.setattr(beam_runner, "Pool", start)
