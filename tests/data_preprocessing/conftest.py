"""The films of tests, and builds that need no process of their own."""

import pytest

from tests import builds
from tests.films import film, read_number  # noqa: F401
from tests.training.conftest import no_pictures, quick_start  # noqa: F401


@pytest.fixture(autouse=True)
def _one_worker_is_here(monkeypatch):
  builds.one_worker_here(monkeypatch)
