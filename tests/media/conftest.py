"""Films and recordings of tests."""

import pytest

from tests.films import TIMES, film, read_number  # noqa: F401
from tests.recordings import sound_file  # noqa: F401


@pytest.fixture
def filmed(tmp_path, film):  # noqa: F811
  """Writes a film of 25 frames a second from `start` on, in a test's folder."""

  def write(name, length=75, start=0, **form):
    times = [start + time for time in TIMES[:length]]
    return film(tmp_path / name, times, base=25, **form)

  return write
