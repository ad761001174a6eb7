"""A process that is lost is noticed, by a service made of a dictionary."""

import threading
import types

import jax
import pytest
from jax._src import distributed

from unloc_jax import evaluate
from unloc_jax.parallel import processes


class Service:
  """What JAX's coordination service keeps, and a clock that goes by requests.

  Process 0 says that it lives whenever it is asked, where it is `alive`, and
  has finished after 20 requests.
  """

  def __init__(self):
    self.values: dict[str, str] = {}
    self.alive, self.reachable, self.requests = False, True, 0
    self.others_finished = threading.Event()

  def key_value_set(self, key, value, allow_overwrite):
    assert allow_overwrite
    self.check()
    self.values[key] = value

  def key_value_dir_get(self, key):
    self.check()
    if self.alive:
      self.values["unloc_jax/alive/0"] = str(self.requests)
      if self.requests > 20:
        self.others_finished.set()
    return [item for item in self.values.items() if item[0].startswith(key)]

  def wait_at_barrier(self, name, milliseconds):
    self.check()
    if not self.others_finished.wait(milliseconds / 1000):
      raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: " + name)

  def monotonic(self):
    return 0.2 * self.requests

  def check(self):
    self.requests += 1
    if not self.reachable:
      raise jax.errors.JaxRuntimeError("UNAVAILABLE: no route")


@pytest.fixture
def service(monkeypatch):
  """Process 1 of 2, and what `_end` was told, in `said`."""
  made = Service()
  made.said = []
  made.ended = threading.Event()

  def end(message):
    made.said.append(message)
    made.ended.set()
    made.others_finished.set()  # The real one does not return.

  monkeypatch.setattr(jax, "process_count", lambda: 2)
  monkeypatch.setattr(jax, "process_index", lambda: 1)
  monkeypatch.setattr(distributed.global_state, "client", made)
  monkeypatch.setattr(processes, "end", end)
  clock = types.SimpleNamespace(monotonic=made.monotonic)
  monkeypatch.setattr(processes, "time", clock)
  return made


def test_a_process_that_lives_is_left_alone_and_waited_for(service):
  """Longer than one that says nothing is believed to live."""
  service.alive = True
  with processes.Watch(beat=0.02, lost=1.0):
    pass
  assert service.values["unloc_jax/alive/1"].isdigit()
  assert service.monotonic() > 4
  assert service.said == []


def test_a_process_that_falls_silent_before_it_finished_ends_this_one(service):
  service.values["unloc_jax/alive/0"] = "7"
  with processes.Watch(beat=0.02, lost=1.0):
    pass
  assert "process 0 of the 2 of this run was not heard" in service.said[0]


@pytest.mark.parametrize("reachable", [True, False])
def test_a_process_that_falls_silent_ends_this_one(service, reachable):
  service.values["unloc_jax/alive/0"] = "7"
  service.reachable = reachable
  with processes.Watch(beat=0.02, lost=1.0):
    assert service.ended.wait(20)
  (line,) = service.said
  assert line.startswith("error: process 0 of the 2 of this run was not heard")
  assert "last checkpoint" in line
  assert "\n" not in line


def test_a_process_that_failed_ends_this_one_at_once(service):
  service.values["unloc_jax/alive/0"] = "failed"
  with processes.Watch(beat=0.02, lost=1000.0):
    assert service.ended.wait(20)
  assert service.said[0].startswith("error: process 0 of this run failed")


def test_a_failure_of_this_process_is_told_to_the_others(service):
  with pytest.raises(SystemExit), processes.Watch(beat=0.02, lost=1000.0):
    raise SystemExit("error: no such file")
  assert service.said == ["error: no such file"]
  assert service.values["unloc_jax/alive/1"] == "failed"


def test_a_lone_process_watches_nobody():
  before = threading.active_count()
  with processes.Watch(beat=0.01, lost=0.01):
    assert threading.active_count() <= before


def test_flags_that_do_not_fit_together():
  with pytest.raises(ValueError, match="belong together"):
    processes.start("127.0.0.1:1", None, 0)


def test_jax_aborts_no_process_before_it_says_what_is_wrong(monkeypatch):
  """JAX hears from a process every half of its time, and aborts after it."""
  given = {}
  monkeypatch.setattr(
    jax.distributed, "initialize", lambda *_, **options: given.update(options)
  )
  processes.start("127.0.0.1:1", 2, 0)
  last_said = processes.LOST + 2 * processes.BEAT
  assert given["heartbeat_timeout_seconds"] / 2 > last_said


def test_evaluation_takes_the_same_flags(capsys):
  argv = ["--workdir=x", "--distributed", "--num_processes=2"]
  with pytest.raises(SystemExit, match="belong together"):
    evaluate.main(argv)
  with pytest.raises(SystemExit, match="no run"):
    evaluate.main(argv[:1])


SLURM = {
  "SLURM_JOB_ID": "7",
  "SLURM_STEP_NODELIST": "127.0.0.1",
  "SLURM_PROCID": "1",
}


@pytest.mark.parametrize(
  ("environment", "told", "visible"),
  [
    (("2", "2", "0"), False, None),  # A process per node has all its GPUs.
    (("16", "2", "3"), False, "3"),  # A process per GPU has its own.
    (("2", "2", "0"), True, None),
    (("16", "2", "3"), True, "3"),
  ],
)
def test_the_devices_that_a_process_of_slurm_sees(
  monkeypatch, environment, told, visible
):
  names = "SLURM_NTASKS", "SLURM_STEP_NUM_NODES", "SLURM_LOCALID"
  slurm = {**SLURM, **dict(zip(names, environment, strict=True))}
  for name, value in slurm.items():
    monkeypatch.setenv(name, value)
  settings, met = {}, []

  class StoppedError(Exception):
    """Where JAX would go on to meet the others."""

  def connect(address, number, **_):
    met.append((address.split(":")[0], number))
    raise StoppedError

  monkeypatch.setattr(
    distributed._jax, "get_distributed_runtime_client", connect
  )
  monkeypatch.setattr(distributed, "global_state", distributed.State())
  # Other tests have run something.
  monkeypatch.setattr(
    distributed.xla_bridge, "backends_are_initialized", lambda: False
  )
  monkeypatch.setattr(distributed.config, "update", settings.__setitem__)
  given = ("127.0.0.1:1", 2, 1) if told else (None, None, None)
  with pytest.raises(StoppedError):
    processes.start(*given)
  assert met == [("127.0.0.1", 1)]
  assert settings.get("jax_cuda_visible_devices") == visible
