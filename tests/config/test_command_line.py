"""The command of a config: what it takes, and what it says is missing."""

import importlib
import io
import pathlib
import signal
import subprocess
import sys
import types

import pytest

from tests.config.config_cases import CASES, load
from unloc_jax import main
from unloc_jax.config import parser
from unloc_jax.config.check import problems
from unloc_jax.config.laptop import laptop
from unloc_jax.models.build import build_model
from unloc_jax.parallel import processes
from unloc_jax.plan.missing import missing
from unloc_jax.training.loop import run_length
from unloc_jax.training.optim import schedule

BENCHMARKS = [
  case for case in CASES if not case[0].startswith(("synthetic", "sounds"))
]


def said(*argv: str) -> str:
  """What ends the command, without a traceback."""
  with pytest.raises(SystemExit) as stopped:
    main.main(argv)
  return str(stopped.value)


@pytest.mark.parametrize(
  ("argument", "words"),
  [
    ("--config.train.lenght=3", ["--config.train.lenght=3", "train.length?"]),
    ("--config.warp=3", ["no key 'warp'", "schema.py lists"]),
    ("--config.pyramid=3", ["no key 'pyramid'"]),
    ("--config.train.batch_size=many", ["train.batch_size", "whole number"]),
    ("--config.model.scan_layers=2", ["scan_layers", "True or False"]),
    ("--config.optimizer.rates=0.1", ["optimizer.rates", "regular expr"]),
    ("--config.train.length=nan", ["train.length=nan", "above 0"]),
    ("--config.log.profile_steps=3", ["profile_steps", "(first, last)"]),
    ("--config=configs/anet_mrr.py", ["configs/anet_mr.py?"]),
    ("--config=configs/nothing.py", ["nothing.py", "configs/coin_as.py"]),
    ("--config=configs/anet_mr.py:XL", ["'XL'", "size=B|L"]),
    ("--config=README.md", ["README.md"]),
    ("--confg.train.length=3", ["--confg.train.length=3", "--workdir"]),
    ("--workdir=", ["--workdir is empty"]),
    ("--num_processes=two", ["--num_processes", "two"]),
    ("more", ["unknown arguments: more"]),
  ],
)
def test_what_is_wrong_is_one_line(argument, words):
  line = said("--config=configs/anet_mr.py", argument)
  assert line.startswith("error: ")
  assert "\n" not in line
  for word in words:
    assert word in line


_FROM = """from configs import anet_mr
def get_config():
  config = anet_mr.get_config("B").unlock()
  """


@pytest.mark.parametrize(
  ("code", "words"),
  [
    ('raise RuntimeError("two\\nlines")', "RuntimeError: two lines"),
    ("def get_config(): return get_config()", "RecursionError"),
    ("", "mine.py: AttributeError: it has no attribute 'get_config'"),
    ("def get_config(): pass", "its get_config gives None, no ConfigDict"),
    (f"{_FROM}config.warp = 1; return config", "there is no key 'warp'"),
    (f"{_FROM}del config.train.length; return config", "length is missing"),
  ],
)
def test_a_config_that_somebody_wrote(tmp_path, monkeypatch, code, words):
  monkeypatch.delitem(sys.modules, "config_config", raising=False)
  path = tmp_path / "mine.py"
  path.write_text(code)
  line = said(f"--config={path}")
  assert words in line
  assert "\n" not in line


def test_a_result_that_nobody_reads_is_an_error(monkeypatch):
  with open("/dev/full", "w") as full:
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(OSError, match="the standard output: No space left"):
      parser.show("a result")
    # What is left over goes nowhere, and makes no noise at the end.
    parser.show("another")
  monkeypatch.setattr(sys, "stdout", io.StringIO())
  parser.show("in a notebook")
  assert sys.stdout.getvalue() == "in a notebook\n"
  monkeypatch.setattr(sys, "stdout", None)
  with pytest.raises(OSError, match="the standard output is closed"):
    parser.show("a result")


def test_ctrl_c_is_no_traceback():
  code = "from unloc_jax.config.parser import Parser as P; P('').parse_args([])"
  code += "; raise KeyboardInterrupt"
  ended = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE)
  assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"stopped\n")


@pytest.mark.parametrize("name", ["predict", "export", "demo", "metrics"])
def test_so_does_every_other_command(name, capsys):
  command = importlib.import_module(f"unloc_jax.{name}")
  if name == "metrics":
    command = importlib.import_module("unloc_jax.metrics.__main__")
  with pytest.raises(SystemExit) as stopped:
    command.main(["--confg=1"])
  assert str(stopped.value).startswith("error: the following arguments")
  assert not capsys.readouterr().err


def test_a_config_is_named():
  assert "configs/anet_mr.py" in said("--workdir=x")


@pytest.mark.parametrize(("name", "argument"), BENCHMARKS)
def test_what_is_missing_is_said_with_the_commands(
  name, argument, tmp_path, monkeypatch
):
  config, given = load(name, argument), f"configs/{name}.py:{argument}"
  monkeypatch.chdir(tmp_path)
  dataset = pathlib.Path(config.data.path).parent.name
  text = missing(given, config)
  assert f"build --dataset {dataset} --annotations" in text
  pretrained = bool(config.init.weights)
  assert text.count("://") >= 2 + pretrained
  assert ("python -m unloc_jax.weights --from ViT-" in text) == pretrained
  assert ("embed_classes" in text) == bool(config.text.class_embeddings)
  assert "--demo_data" in text
  for path in filter(None, (config.data.path, config.init.weights)):
    pathlib.Path(path).mkdir(parents=True)
  text = missing(given, config)
  assert "data.path" not in text.partition("--config.")[0]
  assert "weights.--from" not in text
  if config.text.class_embeddings:
    assert f"--config={given}" in text
    pathlib.Path(config.text.class_embeddings).touch()
  assert missing(given, config) == ""


def test_the_command_says_what_is_missing(tmp_path, monkeypatch):
  monkeypatch.setattr(main, "missing", lambda *_: "this\n  make this")
  text = said("--config=configs/anet_mr.py:L,init=pretraining")
  assert text.endswith(
    "anet_mr.py:L,init=pretraining needs more:\nthis\n  make this"
  )


def test_pretraining_is_a_run_of_the_same_fusion(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  text = missing("x", load("anet_mr", "L,init=pretraining"))
  assert "configs/kinetics_pretrain.py:L,fusion=fpn --workdir=runs/" in text


@pytest.mark.parametrize(
  ("given", "workdir"),
  [
    ("configs/anet_mr.py", "runs/anet_mr"),
    ("configs/anet_tal.py:B,split=50-0", "runs/anet_tal-B-split=50-0"),
  ],
)
def test_a_run_has_a_folder_of_its_config(given, workdir, monkeypatch):
  ran = []
  monkeypatch.setattr(main, "missing", lambda *_: "")
  monkeypatch.setattr(main, "_run", lambda config, path: ran.append(path))
  monkeypatch.setattr(
    processes, "joined", lambda flags: pytest.MonkeyPatch.context()
  )
  main.main([f"--config={given}"])
  main.main([f"--config={given}", "--workdir=elsewhere"])
  made = types.SimpleNamespace(demo_data=lambda task, folder: "data")
  monkeypatch.setattr(main.importlib, "import_module", lambda name: made)
  main.main([f"--config={given}", "--demo_data"])
  assert ran == [workdir, "elsewhere", f"{workdir}-demo"]


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_every_config_fits_a_laptop(name, argument):
  config = laptop(load(name, argument), "data")
  assert problems(config) == []
  _, steps = run_length(config, 24)
  assert steps <= 200
  schedule(config.optimizer, steps, 1.0)
  build_model(config)
