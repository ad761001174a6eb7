"""Fixtures every test shares."""

import gc
import os
import pathlib
from typing import Any

# Values, never speed, are tested: cheap compilation is three times as fast.
_CHEAP_COMPILE = (
  "--xla_backend_optimization_level=0 "
  "--xla_llvm_disable_expensive_passes=true "
  "--xla_cpu_use_fusion_emitters=false "
  "--xla_force_host_platform_device_count=8"
)
os.environ.setdefault("XLA_FLAGS", _CHEAP_COMPILE)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR",
  str(pathlib.Path(__file__).parent.parent / ".cache" / "jax"),
)
# No line of Python is looked up for every operation that is compiled.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")

import hypothesis  # noqa: E402
import pytest  # noqa: E402

# The same cases in every run; `pytest --hypothesis-profile=explore` draws new.
# How long a case takes is the machine's affair.
hypothesis.settings.register_profile(
  "repeat", derandomize=True, deadline=None, max_examples=40
)
hypothesis.settings.register_profile(
  "explore", derandomize=False, deadline=None
)
hypothesis.settings.load_profile("repeat")

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
  """The folder of reference material beside the checkout, where there is one.

  It holds real annotations, videos and golden files whose licences keep them
  out of this repository. UNLOC_SHARED names another place for it.
  """
  path = pathlib.Path(os.environ.get("UNLOC_SHARED", ROOT.parent / "shared"))
  if not path.is_dir():
    pytest.skip(f"reference material is not at {path}; set UNLOC_SHARED")
  return path


# Rooms that take long begin, so that none of them is last alone.
_LONG = ("training", "use", "data_preprocessing", "tests", "weights", "data")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  rank = {room: place for place, room in enumerate(_LONG)}
  items.sort(key=lambda item: rank.get(item.path.parent.name, len(_LONG)))


def pytest_collection_finish() -> None:
  """Keeps programs where every command does, and what is imported for good.

  A command that changed the folder amid a process would change the names of
  all its programs, too, and none would be found again.
  """
  from unloc_jax.parallel.compilation_cache import keep_programs

  keep_programs()
  gc.collect()
  gc.freeze()
  gc.set_threshold(50_000, 20, 100)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
  """Of `pytest -n`: a room stays in one process, which makes its fixtures."""
  from xdist.scheduler import LoadScopeScheduling

  class ByRoom(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
      return nodeid.partition("::")[0].rpartition("/")[0]

  config.option.loadscopereorder = False
  return ByRoom(config, log)
