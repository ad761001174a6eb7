"""A folder holds one run at a time; one that was killed leaves it free."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from unloc_jax.training import lock

HOLD = """
import sys, time
from unloc_jax.training import lock
with lock.only_run(sys.argv[1]):
  print("held", flush=True)
  time.sleep(600)
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
  """Beats often; a run elsewhere is soon gone, where a test is not patient."""
  monkeypatch.setattr(lock, "BEAT", 0.05)
  monkeypatch.setattr(lock, "PATIENCE", 0.5)


def hold(folder):
  """A process that holds a folder."""
  process = subprocess.Popen(
    [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE
  )
  assert process.stdout.readline() == b"held\n"
  return process


def test_the_second_is_refused_and_told_of_the_first(tmp_path, monkeypatch):
  process = hold(tmp_path)
  with monkeypatch.context() as patch:
    patch.setattr(time, "sleep", None)  # At once.
    with (
      pytest.raises(ValueError, match="running here") as error,
      lock.only_run(str(tmp_path)),
    ):
      pass
  line = str(error.value)
  owner = json.loads((tmp_path / "running.json").read_text())
  for word in (str(process.pid), owner["host"], owner["since"], str(tmp_path)):
    assert word in line
  assert "\n" not in line
  process.kill()
  # Not yet waited for: a process that is gone and has a number still.
  os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
  with lock.only_run(str(tmp_path)):
    assert json.loads((tmp_path / "running.json").read_text())["pid"] == (
      os.getpid()
    )
  process.wait()
  assert list(tmp_path.iterdir()) == []


def test_a_number_that_another_process_has_now(tmp_path):
  with lock.only_run(str(tmp_path)):
    owner = json.loads((tmp_path / "running.json").read_text())
  owner["process"] -= 1000
  (tmp_path / "running.json").write_text(json.dumps(owner))
  with lock.only_run(str(tmp_path)):
    pass


@pytest.mark.parametrize("content", ["other", "", "{", "[]"])
def test_a_run_elsewhere_lives_as_long_as_it_touches_its_file(
  tmp_path, monkeypatch, content
):
  path = tmp_path / "running.json"
  if content == "other":
    content = json.dumps({"machine": "other", "host": "elsewhere", "pid": 1})
  path.write_text(content)
  stop = threading.Event()

  def touch():
    while not stop.wait(0.05):
      os.utime(path)

  thread = threading.Thread(target=touch, daemon=True)
  thread.start()
  with monkeypatch.context() as patch:
    patch.setattr(lock, "PATIENCE", 60.0)  # However busy the machine is.
    with (
      pytest.raises(ValueError, match="has been running here"),
      lock.only_run(str(tmp_path)),
    ):
      pass
  stop.set()
  thread.join()
  with lock.only_run(str(tmp_path)):
    assert str(os.getpid()) in path.read_text()


def test_of_many_at_once_one_goes_on(tmp_path):
  (tmp_path / "running.json").write_text('{"machine": "other"}')
  ran, refused, together = [], [], threading.Barrier(8)
  decided = threading.Semaphore(0)

  def start():
    together.wait()
    try:
      with lock.only_run(str(tmp_path)):
        ran.append(1)
        for _ in range(7):
          decided.acquire(timeout=60)
    except ValueError as error:
      refused.append(str(error))
      decided.release()

  threads = [threading.Thread(target=start) for _ in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(ran) == 1
  assert len(refused) == 7


def test_one_that_comes_late_leaves_who_came_before(tmp_path):
  path = tmp_path / "running.json"
  path.write_text("a newcomer")
  lock._clear(path, "one that was gone")
  assert path.read_text() == "a newcomer"


def test_a_turn_left_by_one_that_was_killed_is_taken(tmp_path):
  path = tmp_path / "running.json"
  path.write_text('{"machine": "other"}')
  (tmp_path / ".running.turn").touch()
  with lock.only_run(str(tmp_path)):
    assert str(os.getpid()) in path.read_text()
  assert not list(tmp_path.iterdir())
