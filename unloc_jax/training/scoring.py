"""Scoring within a run: what goes wrong there never costs the run."""

import contextlib
from collections.abc import Iterable, Iterator

from absl import logging
from clu import metric_writers

from unloc_jax.metrics.report import Report
from unloc_jax.parallel import preemption
from unloc_jax.training.checkpoints import Checkpoints
from unloc_jax.training.evaluation import Evaluator, figures
from unloc_jax.training.state import TrainState, evaluated_params


class ScoringError(ValueError):
  """Training came to its end; something could not be scored."""


class Scorer:
  """Scores states on splits; what goes wrong there does not end a run."""

  def __init__(
    self,
    evaluator: Evaluator,
    checkpoints: Checkpoints,
    writer: metric_writers.MetricWriter,
    stop: preemption.Watch,
    workdir: str,
  ):
    self._evaluator, self._checkpoints = evaluator, checkpoints
    self._writer, self._stop, self._workdir = writer, stop, workdir
    self._failures: list[str] = []
    self._done: dict[tuple[int, str], Report] = {}

  def score_due(self, state: TrainState, due: Iterable[str]) -> None:
    """Scores a state, unless it was, and keeps its figures."""
    step = int(state.step)
    if not step or not due or self._checkpoints.scored(step) is not None:
      return
    for report in self.score(state, due).values():
      self._writer.flush()
      self._checkpoints.keep_scores(step, figures(report))

  def score(
    self, state: TrainState, splits: Iterable[str]
  ) -> dict[str, Report]:
    """Reports of a state by split; may stop in between."""
    step, found = int(state.step), {}
    for name in splits:
      if (step, name) in self._done:
        found[name] = self._done[step, name]
        continue
      with self._survived(f"step {step} on {name}"):
        found[name] = self._evaluator.run(
          evaluated_params(state), name, self._stop.check_between
        )
      if name in found:
        self._done = {(step, name): found[name]}
        values = {f"{name}/{k}": v for k, v in figures(found[name]).items()}
        self._writer.write_scalars(step, values)
    self._writer.flush()  # The page shows them.
    with self._survived(f"step {step}: the page"):
      self._evaluator.write_page()
    return found

  @contextlib.contextmanager
  def _survived(self, what: str) -> Iterator[None]:
    """Notes what goes wrong, unless the run is to stop."""
    try:
      yield
    except preemption.PreemptedError:
      raise
    except Exception as error:
      said = f"{type(error).__name__}: {' '.join(str(error).split())}"
      self._failures.append(f"{what}: {said}")
      logging.error("Scoring failed, training goes on: %s", self._failures[-1])

  def check(self) -> None:
    """Raises ScoringError where something went wrong."""
    if self._failures:
      raise ScoringError(
        f"{self._workdir}: trained to the end, but {len(self._failures)} "
        f"times scoring failed, first at {self._failures[0]}; once that is "
        "mended: python -m unloc_jax.evaluate --workdir="
        f"{self._workdir}"
      )
