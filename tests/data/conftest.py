"""Tiny datasets in the one schema, written for a test."""

import pathlib

import pytest

from tests import tiny_data


@pytest.fixture(scope="session")
def captions(tmp_path_factory) -> pathlib.Path:
  """11 training and 7 validation videos with captions."""
  return tiny_data.write(
    tmp_path_factory.mktemp("captions"),
    {
      "train": [tiny_data.caption_video(i) for i in range(11)],
      "val": [tiny_data.caption_video(i) for i in range(7)],
    },
  )


@pytest.fixture(scope="session")
def classes(tmp_path_factory) -> pathlib.Path:
  """8 training and 4 validation videos of four classes."""
  return tiny_data.write(
    tmp_path_factory.mktemp("classes"),
    {
      "train": [tiny_data.class_video(i) for i in range(8)],
      "val": [tiny_data.class_video(i) for i in range(4)],
    },
    classes=tiny_data.CLASSES,
  )


@pytest.fixture(scope="session")
def embedded(tmp_path_factory) -> pathlib.Path:
  """Four videos with embeddings of width 4."""
  return tiny_data.write(
    tmp_path_factory.mktemp("embedded"),
    {"train": [tiny_data.embedded_video(i) for i in range(4)]},
    width=4,
  )


@pytest.fixture(scope="session")
def tiny():
  """What was written, and how to write more."""
  return tiny_data
