"""Annotation files, told by their content."""

import json

import pytest

from unloc_jax import annotations


@pytest.fixture
def read(tmp_path):
  """Reads files of a benchmark: {name: text, bytes or a value of JSON}.

  All that lies in their folder is read, or `only` one of them.
  """

  def read_files(name, files, only=""):
    for file, content in files.items():
      if not isinstance(content, str | bytes):
        content = json.dumps(content, ensure_ascii=False)
      raw = content.encode() if isinstance(content, str) else content
      (tmp_path / file).write_bytes(raw)
    return annotations.benchmark(name).read(tmp_path / only)

  return read_files


@pytest.fixture
def rows():
  """What was read as [(video, split, text, start, end)]."""
  return lambda found: [
    (v.video_id, v.split, v.queries[s.query].text, s.start, s.end)
    for v in found.videos
    for s in v.segments
  ]
