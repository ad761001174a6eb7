"""Tables of pages come from files of results, which know their code."""

import dataclasses

from benchmarks import record, report


def test_a_table_is_written_and_goes_stale(tmp_path):
  record.write(
    "speed",
    "python -m benchmarks.speed",
    ["benchmarks/record.py"],
    ["what", "ours"],
    [["step", "1.0 s"]],
    seeds=(0, 1),
    folder=tmp_path,
  )
  page = tmp_path / "page.md"
  page.write_text("a\n<!-- results: speed -->\nold\n<!-- /results -->\nb\n")
  assert "not its file's" in report.complaints(page, tmp_path)[0]
  page.write_text(report.filled(page.read_text(), tmp_path))
  text = page.read_text()
  assert "| what | ours |\n| --- | --- |\n| step | 1.0 s |" in text
  assert "old" not in text
  assert "seeds 0, 1" in text
  assert "`python -m benchmarks.speed`" in text
  assert report.complaints(page, tmp_path) == []
  kept = record.read(tmp_path / "speed.json")
  assert kept.is_current
  assert not dataclasses.replace(kept, digest="0" * 16).is_current


def test_a_table_without_a_file_is_told(tmp_path):
  page = tmp_path / "page.md"
  page.write_text("<!-- results: gone -->\n<!-- /results -->\n")
  assert "gone" in report.complaints(page, tmp_path)[0]
