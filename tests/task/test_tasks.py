"""Tasks are values that fit together."""

import pytest

from unloc_jax.task.tasks import TASKS, get_task


def test_values_are_known():
  for name, task in TASKS.items():
    assert get_task(name) is task
    assert task.name == name
    assert task.texts in ("captions", "classes")
    assert task.train_pairing in ("all", "matched")
    assert task.targets in ("segments", "frames", "tags", "video")
    assert task.decode in ("per_query", "per_frame", "per_video")


def test_what_follows_from_the_targets():
  displaced = {n for n, t in TASKS.items() if t.has_displacement}
  assert displaced == {
    "moment_retrieval",
    "matched_moment_retrieval",
    "highlight_retrieval",
    "temporal_localization",
  }
  assert all(TASKS[n].decode == "per_query" for n in displaced)
  text = {n for n, t in TASKS.items() if t.readout == "text"}
  assert text == {"classification"}


def test_an_unknown_task_is_one_error():
  with pytest.raises(ValueError, match="task: 'x' is not one of moment_"):
    get_task("x")
