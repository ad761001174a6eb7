"""One run at a time in a folder, whatever file system it is on.

The run holds WORKDIR/running.json, which is made as a file that nobody else
has made (O_EXCL, also on NFS), and touches it while it lives. One that was
killed leaves it: on the same machine the next run sees that the process is
gone, elsewhere that nobody touches the file.
"""

import contextlib
import json
import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil

from unloc_jax.parallel import processes

# Seconds between touches, and without one until a run elsewhere is gone.
BEAT, PATIENCE = 3.0, 15.0


@contextlib.contextmanager
def only_run(workdir: str) -> Iterator[None]:
  """Holds a folder; ValueError where another run does, which it names."""
  path = pathlib.Path(workdir) / "running.json"
  mine = json.dumps(
    {
      "host": socket.gethostname(),
      "pid": os.getpid(),
      "since": time.strftime("%Y-%m-%d %H:%M:%S"),
      "machine": _machine(),
      "process": _process(os.getpid()),
    }
  )
  _take(path, mine)
  stop = threading.Event()
  beating = threading.Thread(target=_beat, args=(path, mine, stop), daemon=True)
  beating.start()
  try:
    yield
  finally:
    stop.set()
    beating.join()
    if _read(path) == mine:
      path.unlink()


def _take(path: pathlib.Path, mine: str) -> None:
  while True:
    with contextlib.suppress(FileExistsError), path.open("x") as file:
      file.write(mine)
      return
    theirs = _read(path)
    if _lives(path, theirs):
      about = _parsed(theirs)
      raise ValueError(
        f"{path.parent}: process {about.get('pid')} on {about.get('host')} has "
        f"been running here since {about.get('since')}; end it, or choose "
        "another --workdir"
      )
    _clear(path, theirs)


def _clear(path: pathlib.Path, theirs: str) -> None:
  """Removes what a run that is gone left, and never what came after it.

  Of several that find it gone, one may have taken the folder since; so they
  look again one at a time, each holding a file that nobody else has made.
  """
  turn = path.with_name(".running.turn")
  try:
    turn.open("x").close()
  except FileExistsError:
    time.sleep(BEAT / 30)
    with contextlib.suppress(FileNotFoundError):
      # It is held for as long as a look takes; left by one that was killed.
      if time.time() - turn.stat().st_mtime > PATIENCE:
        turn.unlink()
    return
  try:
    if _read(path) == theirs:
      path.unlink(missing_ok=True)
  finally:
    turn.unlink(missing_ok=True)


def _read(path: pathlib.Path) -> str:
  try:
    return path.read_text()
  except FileNotFoundError:
    return ""


def _parsed(owner: str) -> dict[str, Any]:
  """What a file says; {} where it was being written."""
  try:
    return dict(json.loads(owner))
  except (TypeError, ValueError):
    return {}


def _lives(path: pathlib.Path, owner: str) -> bool:
  about = _parsed(owner)
  if about.get("machine") == _machine():
    # Clocks are set right by a little; a number is not used again at once.
    return abs(about["process"] - _process(about["pid"])) < 5
  with contextlib.suppress(FileNotFoundError):
    before, end = path.stat().st_mtime_ns, time.monotonic() + PATIENCE
    while time.monotonic() < end:
      time.sleep(BEAT / 10)
      if path.stat().st_mtime_ns != before:
        return True
  return False


def _beat(path: pathlib.Path, mine: str, stop: threading.Event) -> None:
  while not stop.wait(BEAT):
    with contextlib.suppress(OSError):
      if _read(path) != mine:
        processes.end(
          f"error: {path.parent}: another run has taken this folder"
        )
      os.utime(path)


def _machine() -> str:
  """What shares a table of processes: a host since its start, a container."""
  found = [socket.gethostname()]
  with contextlib.suppress(OSError):
    found.append(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text())
    found.append(os.readlink("/proc/self/ns/pid"))
  return " ".join(found)


def _process(pid: int) -> float:
  """When a process was started; 0 where it is gone."""
  with contextlib.suppress(psutil.Error):
    process = psutil.Process(pid)
    if process.status() != psutil.STATUS_ZOMBIE:
      return float(process.create_time())
  return 0.0
