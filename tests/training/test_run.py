"""Whole runs: figures, files, checkpoints, going on, stopping."""

import base64
import json
import os
import shutil
import signal
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.conftest import STEPS, tiny_config
from tests.training.runs import (
  assert_same_run,
  final_params,
  is_saving,
  losses,
  newest,
)
from unloc_jax import evaluate
from unloc_jax.metrics import __main__ as metrics_main
from unloc_jax.parallel import preemption, sharding
from unloc_jax.results.drawing.curves import logged
from unloc_jax.training import gradients, loop, state
from unloc_jax.training.evaluation import Evaluator
from unloc_jax.training.scoring import ScoringError
from unloc_jax.weights.folder import load_weights
from unloc_jax.weights.image_embedder import load_embedder

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("quick_start")]


def scored_config(captions):
  config = tiny_config(captions)
  config.eval.every, config.eval.num_drawn = 2, 3
  config.checkpoint.keep = 1
  config.optimizer.ema = 0.9
  return config.lock()


@pytest.fixture(scope="module")
def finished(captions, quick_start, tmp_path_factory):
  """A run of six steps that nothing disturbed."""
  workdir = tmp_path_factory.mktemp("finished")
  config = scored_config(captions)
  reports = loop.train_and_evaluate(config, str(workdir))
  return types.SimpleNamespace(workdir=workdir, config=config, reports=reports)


def test_every_step_is_logged_and_every_query_scored(finished):
  report = finished.reports["val"]
  assert report.seen == report.expected == 1 + 2 + 3 + 4 + 1
  found = losses(finished.workdir)
  assert sorted(found) == ["loss/displacement", "loss/relevance", "loss/total"]
  for values in found.values():
    assert sorted(values) == list(range(1, STEPS + 1))
    assert np.isfinite(list(values.values())).all()
  assert found["loss/total"][STEPS] < found["loss/total"][1]


def test_the_latest_and_the_best_checkpoint_are_kept(finished):
  scores = logged(finished.workdir)["val/R1@0.5"]
  assert sorted(scores) == [2, 4, 6]
  # Of equals Orbax keeps one; whichever it is has the best figure.
  kept = sorted(
    int(p.name) for p in (finished.workdir / "checkpoints").iterdir()
  )
  assert kept[-1] == STEPS
  assert len(kept) <= 2
  assert max(scores[step] for step in kept) == max(scores.values())


def test_the_submission_scores_the_same(finished, tmp_path):
  folder = finished.workdir / "results" / "val"
  out = tmp_path / "out.json"
  given, truth = folder / "predictions.jsonl", folder / "ground_truth.jsonl"
  metrics_main.main(
    [
      *("--benchmark=anet_captions", f"--predictions={given}"),
      *(f"--ground_truth={truth}", f"--json={out}", "--resamples=0"),
    ]
  )
  text = out.read_text()
  for name, value in finished.reports["val"].headline.items():
    assert json.dumps(value)[:6] in text, (name, value)


def test_timelines_are_drawn_and_nothing_half_written_is_left(finished):
  drawn = list((finished.workdir / "results" / "val").glob("timeline_*.png"))
  assert len(drawn) == 3
  assert all(path.stat().st_size > 5000 for path in drawn)
  assert not list(finished.workdir.rglob("*.part*"))


def test_the_page_shows_the_run_up_to_its_end(finished):
  text = (finished.workdir / "results" / "index.html").read_text()
  report = finished.reports["val"]
  assert f"<td>{report.headline['mIoU']:.2f}</td>" in text
  assert f"<td>{report.intervals['mIoU'].high:.2f}</td>" in text
  drawn = finished.workdir / "results" / "val" / "timeline_best_1.png"
  assert base64.b64encode(drawn.read_bytes()).decode() in text
  for title in ("loss", "learning rate", "figures of val, %"):
    assert f'alt="{title}"' in text
  assert sorted(logged(finished.workdir)["rate"]) == list(range(1, STEPS + 1))


def predictions(workdir):
  """Of the split val, by the id of the query."""
  path = workdir / "results" / "val" / "predictions.jsonl"
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  return {row["qid"]: row["pred_relevant_windows"] for row in rows}


@pytest.mark.usefixtures("no_pictures")
def test_the_best_checkpoint_is_evaluated_in_batches_of_any_size(
  finished, tmp_path, capsys
):
  """Nine rows (two captions each) in batches of 8, by command, and 16."""
  folder = shutil.copytree(finished.workdir, tmp_path / "run")
  evaluate.main([f"--workdir={folder}", "--split", "val"])
  line = capsys.readouterr().out.strip()
  best = max(logged(finished.workdir)["val/R1@0.5"].values())
  assert line.startswith("val: R1@0.3 ")
  assert f"R1@0.5 {best:.2f} " in line
  assert line.endswith("(11 of 11 examples)")
  found = predictions(folder)
  config = finished.config.copy_and_resolve_references()
  config.eval.batch_size, config.eval.num_drawn = 16, 0
  report = evaluate.evaluate_run(config, str(folder), ["val"])["val"]
  assert report.seen == report.expected == len(found) == 11
  for name, windows in predictions(folder).items():
    np.testing.assert_allclose(windows, found[name], atol=1e-4)


def test_data_unlike_that_of_training_are_refused(finished, captions, tmp_path):
  """By evaluation, by going on, and by a run from the weights."""
  copy = shutil.copytree(captions, tmp_path / "copy")
  manifest = json.loads((copy / "manifest.json").read_text())
  manifest["frame_rate"] = 9.0
  (copy / "manifest.json").write_text(json.dumps(manifest))
  says = "frame_rate is 9.0 in the dataset but 2.0"
  with pytest.raises(SystemExit, match=says):
    evaluate.main([f"--workdir={finished.workdir}", "--data", str(copy)])
  config = scored_config(captions).unlock()
  config.data.path = str(copy)
  with pytest.raises(ValueError, match=says):
    loop.train_and_evaluate(config, str(finished.workdir))
  written = load_weights(str(finished.workdir / "weights")).config
  assert written["source"]["frame_rate"] == 2.0
  with pytest.raises(ValueError, match="for each of 8 frame positions"):
    load_embedder(str(finished.workdir))


@pytest.mark.usefixtures("no_pictures")
def test_it_goes_on_where_it_was_stopped_ended_and_not_scored(
  captions, finished, tmp_path, monkeypatch
):
  """Stopped in step 3, of which there is no checkpoint, then by scoring.

  The second scoring ends the run; the third fails, which costs no run, and
  another run finds the folder taken meanwhile.
  """
  add, before = loop.nonfinite.Guard.add, signal.getsignal(signal.SIGTERM)
  config, saved = scored_config(captions), []
  run = Evaluator.run

  def ask(guard, step, batch, metrics):
    if step == 3:
      os.kill(os.getpid(), signal.SIGTERM)
    add(guard, step, batch, metrics)

  def score(*args):
    saved.append(bool(newest(tmp_path)) or is_saving(tmp_path))
    if len(saved) == 2:
      raise KeyboardInterrupt
    if len(saved) == 3:
      with pytest.raises(ValueError, match=f"process {os.getpid()} on"):
        loop.train_and_evaluate(config, str(tmp_path))
      raise KeyError("no such class")
    return run(*args)

  monkeypatch.setattr(Evaluator, "run", score)
  with monkeypatch.context() as patch:
    patch.setattr(loop.nonfinite.Guard, "add", ask)
    with pytest.raises(preemption.PreemptedError) as stopped:
      loop.train_and_evaluate(config, str(tmp_path))
  assert "step 3 of 6" in str(stopped.value)
  assert "same command" in str(stopped.value)
  assert signal.getsignal(signal.SIGTERM) == before
  with pytest.raises(KeyboardInterrupt):
    loop.train_and_evaluate(config, str(tmp_path))
  # What a run killed in its next save would leave.
  (tmp_path / "checkpoints" / "6.orbax-checkpoint-tmp").mkdir()
  with pytest.raises(ScoringError) as failed:
    loop.train_and_evaluate(config, str(tmp_path))
  assert "step 4 on val: KeyError: 'no such class'" in str(failed.value)
  assert "unloc_jax.evaluate --workdir" in str(failed.value)
  assert saved == [True] * 4
  assert_same_run(finished.workdir, tmp_path)
  there, wanted = (
    logged(x)["val/R1@0.5"] for x in (tmp_path, finished.workdir)
  )
  assert sorted(there) == [2, 6]
  assert there.items() <= wanted.items()


@pytest.mark.usefixtures("no_pictures")
def test_a_finished_run_is_only_scored_again(finished, tmp_path, monkeypatch):
  """Also where it went on past the length it has now, which is said."""
  folder, said = shutil.copytree(finished.workdir, tmp_path / "run"), []
  before = final_params(folder)
  note = lambda text, *args: said.append(text % args)  # noqa: E731
  monkeypatch.setattr(loop.logging, "warning", note)
  config = finished.config.copy_and_resolve_references()
  for length in (STEPS, STEPS // 2):
    config.train.length = length
    again = loop.train_and_evaluate(config.lock(), str(folder))
    assert again["val"].headline == finished.reports["val"].headline
    after = final_params(folder)
    assert all(np.array_equal(before[k], after[k]) for k in before)
    past = [line for line in said if "Step 6 is past train.length, 3" in line]
    assert bool(past) == (length < STEPS)


def test_steps_that_are_not_finite_are_skipped_then_stop_the_run(
  captions, tmp_path, monkeypatch
):
  """Two bad batches, then good ones, then a third bad one."""
  config = scored_config(captions)
  with config.unlocked():
    config.train.max_skipped = 2
    config.eval.every = 0
  make, compute = loop.make_batches, gradients.batch_losses

  def bad_losses(params, batch, *args):
    factor = jnp.where(batch["duration"][0] < 0, jnp.nan, 1.0)
    return {k: v * factor for k, v in compute(params, batch, *args).items()}

  def spoilt(*args):
    for number, batch in enumerate(make(*args), start=1):
      if number in (2, 3, 5):
        batch = {**batch, "duration": -batch["duration"]}
      yield batch

  monkeypatch.setattr(loop, "make_batches", spoilt)
  monkeypatch.setattr(gradients, "batch_losses", bad_losses)
  with pytest.raises(FloatingPointError) as error:
    loop.train_and_evaluate(config, str(tmp_path))
  text = str(error.value)
  assert "\n" not in text
  assert text.startswith("3 steps were skipped")
  saved = tmp_path / "nonfinite" / "step_5-0.npz"
  assert str(saved) in text
  with np.load(saved, allow_pickle=False) as batch:
    assert (batch["duration"] < 0).all()
    assert batch["streams_frames"].shape == (8, 8, 32, 32, 3)
  found = logged(tmp_path)
  assert [found["skipped"][s] for s in range(1, 6)] == [0, 1, 2, 2, 3]
  assert np.isfinite(found["loss/total"][4])


def test_frozen_towers_have_no_optimizer_state(captions):
  config = tiny_config(captions)
  config.model.image_tower.frozen = True
  parts = state.Parts.from_config(config.lock())
  start = state.state_shapes(parts, loop.make_optimizer(parts, STEPS, 1.0))
  trained = {k: v for k, v in start.params.items() if "image_tower/" not in k}
  assert len(trained) < len(start.params)
  names = {
    sharding.path_name(path[-1:])
    for path, _ in jax.tree_util.tree_leaves_with_path(start.opt_state)
  }
  assert not [name for name in names if name.startswith("image_tower/")]
  assert names.issuperset(trained)
