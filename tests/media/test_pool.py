"""A process that hangs or crashes costs its video alone."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from unloc_jax.media import pool
from unloc_jax.media.errors import VideoError

WORK = """
import os, pathlib, sys, time
from unloc_jax.media import pool

def beating(seconds):
  end = time.monotonic() + seconds
  while time.monotonic() < end:
    pool.beat()
    time.sleep(0.05)
  return os.getpid()

def eats(size):
  return len(bytearray(size))

def fails(kind):
  raise kind("why")

def modules(*names):
  return [name for name in names if name in sys.modules]

def writes_and_hangs(path):
  pathlib.Path(path).write_text(str(os.getpid()))
  time.sleep(600)
"""

PARENT = """
import signal
import sys
import pool_work
from unloc_jax.media import pool

assert __name__ == "__main__", "imported by a process"
# Which shells take from what they start in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
with pool.Pool(1) as processes:
  processes.run(pool_work.writes_and_hangs, sys.argv[1])
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
  # In a module of its own: a new process imports what it is to run.
  (tmp_path / "pool_work.py").write_text(WORK)
  monkeypatch.syspath_prepend(tmp_path)
  import pool_work

  yield pool_work
  del sys.modules["pool_work"]


def test_a_process_that_was_told_to_end_blames_no_video():
  said = pytest.raises(pool.PoolError, match=r"told to end \(SIGTERM\)")
  with pool.Pool(1) as processes, said:
    processes.run(signal.raise_signal, signal.SIGTERM)


def test_a_bad_video_costs_itself_alone(work):
  with pool.Pool(1, memory_gib=0.5) as processes:
    run = processes.run
    pid = run(work.beating, 3.0, stall_seconds=2.0)
    assert pid == run(work.beating, 0.0) != os.getpid()
    assert not run(work.modules, "jax", "tensorflow", "apache_beam")
    crash, sleep, beat = (os._exit, 11), (time.sleep, 600), (work.beating, 600)
    stall, limit = {"stall_seconds": 0.5}, {"seconds": 0.5}
    for told, asked, limits in (
      ("crashed the decoder: the decoder crashed (exit 11)", crash, {}),
      ("stalled the decoder: no progress in 0.5 s", sleep, stall),
      ("stalled the decoder: not read within 0.5 s", beat, limit),
      ("too large: takes too much memory", (work.eats, 1 << 30), {}),
      ("undecodable: KeyError: 'why'", (work.fails, KeyError), {}),
    ):
      with pytest.raises(VideoError, match=re.escape(told)):
        run(*asked, **limits)
    with pytest.raises(FileExistsError, match="why"):
      run(work.fails, FileExistsError)
    assert run(work.beating, 0.0) != pid
  with pytest.raises(pool.PoolError):
    processes.run(os.getpid)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_processes_end_with_their_parent(work, tmp_path, how):
  mark = tmp_path / "pid"
  script = tmp_path / "parent.py"
  script.write_text(PARENT)
  path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
  parent = subprocess.Popen(
    [sys.executable, str(script), str(mark)],
    env={**os.environ, "PYTHONPATH": path},
    stderr=subprocess.DEVNULL,
  )
  child = int(_wait_for(lambda: mark.exists() and mark.read_text()))
  parent.send_signal(how)
  assert parent.wait(30) != 0
  _wait_for(lambda: not _runs(child))


def _runs(pid: int) -> bool:
  try:
    state = pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2]
  except (FileNotFoundError, ProcessLookupError):
    return False
  return state != "Z"


def _wait_for(what):
  end = time.monotonic() + 60
  while not (found := what()):
    assert time.monotonic() < end
    time.sleep(0.05)
  return found
