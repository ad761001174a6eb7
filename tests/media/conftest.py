"""The films of tests."""

from tests.films import film, read_number  # noqa: F401
