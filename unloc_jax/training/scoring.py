"""Scoring within a run: what goes wrong there never costs the run."""

import contextlib
import dataclasses
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


@dataclasses.dataclass
class Scorer:
  """Scores states on splits; what goes wrong there does not end a run."""

  evaluator: Evaluator
  checkpoints: Checkpoints
  writer: metric_writers.MetricWriter
  stop: preemption.Watch
  workdir: str
  failures: list[str] = dataclasses.field(default_factory=list)
  # By step and split; the last one
  done: dict[tuple[int, str], Report] = dataclasses.field(default_factory=dict)

  def score_due(self, state: TrainState, due: Iterable[str]) -> None:
    """Scores a state, unless it was, and keeps its figures."""
    step = int(state.step)
    if not step or not due or self.checkpoints.scored(step) is not None:
      return
    for report in self.score(state, due).values():
      self.checkpoints.keep_scores(step, figures(report))

  def score(
    self, state: TrainState, splits: Iterable[str]
  ) -> dict[str, Report]:
    """Reports of a state by split; may stop in between."""
    step, found = int(state.step), {}
    for name in splits:
      if (step, name) not in self.done:
        with self._survived(f"step {step} on {name}"):
          report = self.evaluator.run(
            evaluated_params(state), name, self.stop.check_between
          )
          values = {f"{name}/{k}": v for k, v in figures(report).items()}
          self.writer.write_scalars(step, values)
          self.done = {(step, name): report}
      if (step, name) in self.done:
        found[name] = self.done[step, name]
    self.writer.flush()  # The page shows them.
    with self._survived(f"step {step}: the page"):
      self.evaluator.write_page()
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
      self.failures.append(f"{what}: {said}")
      logging.error("Scoring failed, training goes on: %s", self.failures[-1])

  def check(self) -> None:
    """Raises ScoringError where something went wrong."""
    if self.failures:
      raise ScoringError(
        f"{self.workdir}: trained to the end, but {len(self.failures)} times "
        f"scoring failed, first at {self.failures[0]}; once that is mended: "
        f"python -m unloc_jax.evaluate --workdir={self.workdir}"
      )
