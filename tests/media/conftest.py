"""Films and recordings of tests."""

from tests.films import film, read_number  # noqa: F401
from tests.recordings import sound_file  # noqa: F401
