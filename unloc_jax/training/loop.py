"""The training loop, read from top to bottom."""

import contextlib
import dataclasses
import math
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from absl import logging
from clu import metric_writers, parameter_overview, periodic_actions
from jax.sharding import Mesh

from unloc_jax import files
from unloc_jax.config.check import problems_of_run
from unloc_jax.data import pipeline, splits, tokenizer
from unloc_jax.metrics.report import Report
from unloc_jax.models.towers.streams import compute_dtype
from unloc_jax.parallel import preemption, sharding
from unloc_jax.training import lock, nonfinite, optim, provenance, token_cache
from unloc_jax.training.checkpoints import (
  Checkpoints,
  check_config,
  check_name,
  write_config,
)
from unloc_jax.training.evaluation import Evaluator, prompts_of
from unloc_jax.training.scoring import Scorer
from unloc_jax.training.speed import Meter
from unloc_jax.training.state import (
  Parts,
  TrainState,
  evaluated_params,
  init_state,
  nest,
  param_shapes,
  placed_shapes,
)
from unloc_jax.training.step import check_sizes, compile_train_step
from unloc_jax.weights.folder import save_weights
from unloc_jax.weights.merging import initial_weights


@dataclasses.dataclass(frozen=True)
class Run:
  """What a run is made of, checked before anything is computed."""

  workdir: str
  parts: Parts
  mesh: Mesh
  split: splits.Split  # What is trained on
  evaluator: Evaluator  # Has opened every split of `eval.splits`
  optimizer: optax.GradientTransformationExtraArgs
  unit_steps: float  # Steps in one `train.unit`
  total_steps: int

  def is_due(self, step: int, every: float) -> bool:
    """Whether it is time for what happens `every` units, and at the end."""
    if step == self.total_steps or every <= 0:
      return step == self.total_steps
    steps = every * self.unit_steps
    return math.floor(step / steps) > math.floor((step - 1) / steps)

  def rate(self, step: int) -> float:
    """The largest learning rate of a step."""
    optimizer = self.parts.config.optimizer
    factor = optim.schedule(optimizer, self.total_steps, self.unit_steps)
    return max(rate for _, rate in optimizer.rates) * float(factor(step - 1))

  def due_splits(self, step: int) -> tuple[str, ...]:
    """Splits to score after a step: the first, where it is time."""
    config = self.parts.config
    due = self.is_due(step, config.eval.every)
    return tuple(config.eval.splits[:1]) if due else ()


def open_run(config: ml_collections.ConfigDict, workdir: str) -> Run:
  """Opens the data of a run; nothing is written.

  Raises ValueError where the config or the data is wrong, or the folder holds
  another run; the message says what to change.
  """
  for problem in problems_of_run(config):
    raise ValueError(problem)
  check_name(workdir)
  parts = Parts.from_config(config)
  mesh = sharding.run_mesh(config)
  check_sizes(parts, mesh)
  if config.train.cache_frame_tokens:
    token_cache.check(config)
  split = splits.open_split(config, config.data.train_split)
  unit_steps, total_steps = run_length(config, len(split.usable))
  optimizer = make_optimizer(parts, total_steps, unit_steps)
  evaluator = Evaluator(parts, mesh, workdir)
  for name in config.eval.splits:
    evaluator.split(name)  # What is wrong with it is said now, not at the end.
  provenance.check_run(workdir, split.manifest)
  provenance.check_weights(config, split.manifest)
  return Run(
    workdir, parts, mesh, split, evaluator, optimizer, unit_steps, total_steps
  )


def train_and_evaluate(
  config: ml_collections.ConfigDict, workdir: str
) -> dict[str, Report]:
  """Trains from the latest checkpoint on, or from scratch; then evaluates.

  Returns:
    The report of every split of `eval.splits`, by split.

  Raises:
    ValueError: The config, the data or a checkpoint is wrong, or another run
      is in the folder.
    OSError: The folder cannot be written.
    FloatingPointError: Too many steps were not finite.
    PreemptedError: SIGTERM came; the state was saved.
    ScoringError: The run is whole, but not all could be scored.
  """
  run = open_run(config, workdir)
  with claim(run):
    return _train(run)


@contextlib.contextmanager
def claim(run: Run) -> Iterator[None]:
  """Makes the folder this run's, from the first process; see `open_run`."""
  check_config(run.workdir, run.parts.config)
  if jax.process_index() > 0:
    yield
    return
  folder = pathlib.Path(run.workdir)
  try:
    for name in ("checkpoints", "results"):
      (folder / name).mkdir(parents=True, exist_ok=True)
    held = contextlib.ExitStack()
    held.enter_context(lock.only_run(run.workdir))
  except OSError as error:
    raise OSError(
      f"{error.filename or folder}: cannot be written ({error.strerror}); take"
      " another --workdir"
    ) from error
  with held:
    write_config(run.workdir, run.parts.config)
    provenance.keep(run.workdir, run.split.manifest)
    yield


def _train(run: Run) -> dict[str, Report]:
  config, workdir = run.parts.config, run.workdir
  checkpoints = Checkpoints(workdir, config)
  made_of = run.parts, run.optimizer, run.mesh
  if checkpoints.latest_step is None:
    state = start_weights(config, init_state(*made_of))
  else:
    state = checkpoints.restore(placed_shapes(*made_of))
  log_start(run, state)
  prompts = prompts_of(config, run.split)
  writer = metric_writers.create_default_writer(
    workdir, just_logging=jax.process_index() > 0
  )
  hooks = make_hooks(run, writer)
  batches = make_batches(run, state)
  meter = Meter(
    make_step(run, state), config.train.batch_size, compute_dtype(config).name
  )
  guard = nonfinite.Guard(workdir, config.train.max_skipped, int(state.skipped))
  stop = preemption.Watch()
  scorer = Scorer(run.evaluator, checkpoints, writer, stop, workdir)
  try:
    # What a run that was killed did not come to.
    scorer.score_due(state, run.due_splits(int(state.step)))
    for step in range(int(state.step) + 1, run.total_steps + 1):
      with jax.profiler.StepTraceAnnotation("train", step_num=step):
        batch = meter.waiting(batches)
        sharded = sharding.shard_batch(batch, run.mesh, config.train.batch_size)
        state, metrics = meter.step(state, sharded, prompts)
      guard.add(step, batch, metrics)
      for hook in hooks:
        hook(step)
      if step % config.log.every_steps == 0 or step in (1, run.total_steps):
        values = {name: float(value) for name, value in metrics.items()}
        values["rate"] = run.rate(step)
        writer.write_scalars(step, values | meter.figures())
      stop.check(step)
      if run.is_due(step, config.checkpoint.every):
        writer.flush()  # Figures up to here will not be computed again.
        checkpoints.save(state)
      scorer.score_due(state, run.due_splits(step))
    guard.finish()
    write_weights(run, evaluated_params(state))
    scores = scorer.score(state, config.eval.splits)
  except preemption.PreemptedError:
    checkpoints.save(state)
    raise preemption.PreemptedError(
      f"Stopped at step {int(state.step)} of {run.total_steps}, which is saved "
      f"in {workdir}; the same command goes on from there."
    ) from None
  finally:
    stop.close()
    checkpoints.close()
    writer.close()
  logging.info("Finished: figures and drawings are in %s/results.", workdir)
  scorer.check()
  return scores


def make_step(run: Run, state: TrainState) -> Any:
  """The jitted step; kept frame tokens come to it as embeddings."""
  parts, config = run.parts, run.parts.config
  if config.train.cache_frame_tokens:
    parts = Parts.from_config(token_cache.with_streams(config, "embeddings"))
  return compile_train_step(parts, run.optimizer, run.mesh, state)


def log_start(run: Run, state: TrainState) -> None:
  """Says what is trained, how long, and where results go."""
  config, split = run.parts.config, run.split
  trained, _ = optim.split_frozen(config, state.params)
  count = parameter_overview.count_parameters
  step = int(state.step)
  logging.info(
    "%s %s: %s parameters, %s of them trained.",
    f"Going on from step {step} with" if step else "Training",
    config.task,
    f"{int(count(state.params)):,}",
    f"{int(count(trained)):,}",
  )
  logging.info(
    "%d steps of %d of the %d videos of %s, split %s, on %d device(s) %s.",
    run.total_steps,
    config.train.batch_size,
    len(split.usable),
    config.data.path,
    split.name,
    run.mesh.size,
    dict(run.mesh.shape),
  )
  if step > run.total_steps:
    logging.warning(
      "Step %d is past train.length, %d steps: nothing is trained any more.",
      *(step, run.total_steps),
    )
  if len(split.usable) < config.train.num_videos:
    logging.info(
      "The official split has %d videos, so this is not its published setting.",
      config.train.num_videos,
    )
  logging.info("Checkpoints, figures and results go to %s.", run.workdir)
  if jax.process_index() == 0:
    table = parameter_overview.get_parameter_overview(
      nest(state.params)["params"]
    )
    path = pathlib.Path(run.workdir) / "parameters.txt"
    files.write_text(path, table + "\n")


def make_batches(run: Run, state: TrainState) -> Iterator[Mapping[str, Any]]:
  """This process's rows of the batches from `state.step` on."""
  config = run.parts.config
  options = {
    "batch_size": config.train.batch_size,
    "seed": config.seed,
    "start_step": int(state.step),
    "rows": sharding.local_rows(run.mesh, config.train.batch_size),
  }
  if not config.train.cache_frame_tokens:
    return pipeline.make_train(config, split=run.split, **options)
  tokens = token_cache.frame_tokens(
    run.parts, state.params, run.split, run.mesh, run.workdir
  )
  config = token_cache.with_streams(config)
  return token_cache.supply(pipeline.make_train(config, **options), tokens)


def run_length(
  config: ml_collections.ConfigDict, num_videos: int
) -> tuple[float, int]:
  """Steps in one `train.unit`, and of the whole run; ValueError if none."""
  train, unit_steps = config.train, 1.0
  if train.unit == "epochs":
    unit_steps = float(pipeline.steps_per_epoch(num_videos, train.batch_size))
  total_steps = round(train.length * unit_steps)
  if total_steps < 1:
    raise ValueError(f"train.length: {train.length} {train.unit} has no step")
  return unit_steps, total_steps


def make_optimizer(
  parts: Parts, total_steps: int, unit_steps: float
) -> optax.GradientTransformationExtraArgs:
  """Optimizer of the parameters that are trained."""
  trained, _ = optim.split_frozen(parts.config, param_shapes(parts))
  return optim.make_optimizer(
    parts.config, sorted(trained), total_steps, unit_steps
  )


def start_weights(
  config: ml_collections.ConfigDict, state: TrainState
) -> TrainState:
  """Puts the weights of `config.init`, which must fit, into a new state."""
  if not config.init.weights:
    return state
  params = initial_weights(config, state.params)
  average = state.average and {k: jnp.copy(params[k]) for k in state.average}
  return dataclasses.replace(state, params=params, average=average)


def write_weights(run: Run, params: Mapping[str, jax.Array]) -> None:
  """Writes WORKDIR/weights, a folder that `init.weights` reads."""
  whole = sharding.gather(params, run.mesh)
  folder = pathlib.Path(run.workdir) / "weights"
  if jax.process_index() == 0:
    about = provenance.of_run(run.parts.config, run.workdir)
    shutil.rmtree(folder, ignore_errors=True)
    save_weights(str(folder), whole, about, tokenizer.read(run.parts.config))


def make_hooks(
  run: Run, writer: metric_writers.MetricWriter
) -> list[periodic_actions.PeriodicAction]:
  """Progress with ETA, and a profile on request, in the first process."""
  if jax.process_index() > 0:
    return []
  hooks: list[periodic_actions.PeriodicAction] = [
    periodic_actions.ReportProgress(
      num_train_steps=run.total_steps, writer=writer, every_secs=30.0
    )
  ]
  if run.parts.config.log.profile_steps:
    first, last = run.parts.config.log.profile_steps
    steps = {"first_profile": first, "num_profile_steps": last - first + 1}
    hooks.append(periodic_actions.Profile(logdir=run.workdir, **steps))
  return hooks
