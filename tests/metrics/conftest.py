"""Small files made by hand."""

import pathlib

import pytest


@pytest.fixture(scope="session")
def made() -> pathlib.Path:
  """The folder of hand-made submissions and annotations."""
  return pathlib.Path(__file__).parent.parent / "data" / "metrics"
