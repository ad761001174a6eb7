"""The doctor: what is wrong with a config, its data and its weights.

Every line is a question that training would only answer later, and most of
them after minutes.
"""

import dataclasses
import pathlib
import shutil

import jax
import ml_collections
import optax
from jax.sharding import Mesh

from unloc_jax.config.check import problems_of_run
from unloc_jax.data import shards
from unloc_jax.data.class_texts import class_texts
from unloc_jax.data.splits import Split, open_split
from unloc_jax.parallel import sharding
from unloc_jax.plan.printing import gib
from unloc_jax.plan.step_plan import batch_shapes, device_bytes
from unloc_jax.plan.topology import Topology, open_topology
from unloc_jax.task.tasks import get_task
from unloc_jax.training import optim, token_cache
from unloc_jax.training.evaluation import eval_config
from unloc_jax.training.loop import make_optimizer, run_length
from unloc_jax.training.state import (
  Parts,
  param_shapes,
  placed_shapes,
  state_shapes,
)
from unloc_jax.training.step import check_sizes
from unloc_jax.weights.merging import initial_weights


@dataclasses.dataclass
class Doctor:
  """Answers, and what later questions need of earlier ones."""

  config: ml_collections.ConfigDict
  topology: str  # Where the config is to run
  workdir: str  # Where results are to go
  splits: dict[str, Split] = dataclasses.field(default_factory=dict)  # Opened

  def model(self) -> str:
    """Values of the config that the schema or modules refuse."""
    for problem in problems_of_run(self.config):
      raise ValueError(problem)
    parts = Parts.from_config(self.config)
    shapes = param_shapes(parts)
    trained, _ = optim.split_frozen(self.config, shapes)
    sizes = [sum(s.size for s in x.values()) for x in (shapes, trained)]
    return (
      f"{self.config.task}, {sizes[0]:,} parameters, {sizes[1]:,} trained, "
      f"{parts.pyramid.num_points} points"
    )

  def data(self) -> str:
    """Values of config.data, manifest, shards of the training split."""
    return self._open(self.config, self.config.data.train_split)

  def evaluation(self) -> str:
    """The same of the splits that are scored."""
    config = eval_config(self.config)
    return "; ".join(
      self._open(config, name) for name in self.config.eval.splits
    )

  def _open(self, config: ml_collections.ConfigDict, name: str) -> str:
    if not config.data.path:
      raise ValueError("data.path is empty; give --config.data.path")
    split = open_split(config, name)
    self.splits[name] = split
    size = shards.total_bytes(split.records)
    return f"{name}: {len(split.usable)} videos, {gib(size)}, shards whole"

  def schedule(self) -> str:
    """Rates and lengths, in epochs of the data that is there."""
    split = self.splits.get(self.config.data.train_split)
    videos = len(split.usable) if split else self.config.train.num_videos
    parts = Parts.from_config(self.config)
    unit_steps, total_steps = run_length(self.config, videos)
    make_optimizer(parts, total_steps, unit_steps)
    return f"{total_steps} steps of {self.config.train.batch_size} videos"

  def classes(self) -> str:
    """Class prompts or embeddings."""
    if get_task(self.config.task).texts != "classes":
      return "captions"
    splits = self.splits.values()
    names = tuple(dict.fromkeys(x for split in splits for x in split.classes))
    if not names:
      raise ValueError("no split could be opened, so classes are not known")
    class_texts(self.config, names)
    return f"{len(names)} classes"

  def start(self) -> str:
    """Weights to start from, and what is taken of them."""
    init = self.config.init
    if not init.weights:
      return "init.weights is empty: random weights"
    shapes = param_shapes(Parts.from_config(self.config))
    merged = initial_weights(self.config, shapes)
    taken = sum(merged[name] is not shapes[name] for name in shapes)
    return f"{taken} of {len(shapes)} parameters from {init.weights}"

  def tokens(self) -> str:
    """Whether frame tokens can be kept."""
    if not self.config.train.cache_frame_tokens:
      return "no tokens are kept"
    token_cache.check(self.config)
    return "frame tokens are kept"

  def mesh(self) -> str:
    """Devices, and the batches split over them."""
    topology, mesh = self._devices()
    check_sizes(Parts.from_config(self.config), mesh)
    sizes = " ".join(f"{axis}={size}" for axis, size in mesh.shape.items())
    return f"{len(topology.devices)} device(s), {sizes}"

  def memory(self) -> str:
    """What state and batch take; a plan says what a step needs besides."""
    topology, mesh = self._devices()
    state = placed_shapes(*self._parts(), mesh)
    size = device_bytes((state, batch_shapes(self.config, mesh)))
    line = f"{gib(size)} of state and batch of {gib(topology.memory)} a device"
    if size > topology.memory:
      raise ValueError(f"{line}; raise mesh.fsdp or take more devices")
    return line

  def disk(self) -> str:
    """Room for the checkpoints that are kept."""
    leaves = jax.tree.leaves(state_shapes(*self._parts()))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    # The best one and the one being written are there too.
    needed = size * (self.config.checkpoint.keep + 2)
    there = pathlib.Path(self.workdir).absolute()
    while not there.exists():
      there = there.parent
    free = shutil.disk_usage(there).free
    line = f"{gib(needed)} of checkpoints, {gib(free)} free in {self.workdir}"
    if needed > free:
      raise ValueError(f"{line}; lower checkpoint.keep or free some")
    return line

  def _devices(self) -> tuple[Topology, Mesh]:
    topology = open_topology(self.topology)
    return topology, sharding.run_mesh(self.config, topology.devices)

  def _parts(self) -> tuple[Parts, optax.GradientTransformationExtraArgs]:
    """Parts, and an optimizer whose schedule does not matter here."""
    parts = Parts.from_config(self.config)
    return parts, make_optimizer(parts, 10**9, 1.0)


def run(config: ml_collections.ConfigDict, topology: str, workdir: str) -> bool:
  """Prints a line per question; returns whether nothing is wrong."""
  doctor = Doctor(config, topology, workdir)
  questions = {
    "model": doctor.model,
    "data": doctor.data,
    "evaluation": doctor.evaluation,
    "schedule": doctor.schedule,
    "classes": doctor.classes,
    "weights": doctor.start,
    "token cache": doctor.tokens,
    "mesh": doctor.mesh,
    "memory": doctor.memory,
    "disk": doctor.disk,
  }
  wrong = 0
  for name, ask in questions.items():
    try:
      print(f"ok     {name}: {ask()}", flush=True)
    except (ValueError, OSError, KeyError) as error:
      wrong += 1
      print(f"WRONG  {name}: {' '.join(str(error).split())}", flush=True)
  print(f"{wrong} of {len(questions)} are wrong" if wrong else "all is well")
  return not wrong
