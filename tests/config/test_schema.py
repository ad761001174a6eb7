"""Every key refuses what it cannot be, in one line; stored configs open."""

import json

import pytest

from unloc_jax.config import schema, stored
from unloc_jax.config.check import check, problems, problems_of_run
from unloc_jax.models import feature_pyramid, transformer
from unloc_jax.models.towers import kinds
from unloc_jax.parallel.sharding import MESH_AXES
from unloc_jax.task import losses, tasks

KEYS = dict(schema.leaves())
NAN = float("nan")


def with_value(name, value):
  """The base config with one value, whatever its type."""
  config = schema.base().unlock()
  section, _, key = name.rpartition(".")
  target = config
  for part in filter(None, section.split(".")):
    target = target[part]
  with target.ignore_type():
    target[key] = value
  return config


def test_the_base_config_is_locked_and_right():
  config = schema.base()
  assert config.is_locked
  assert problems(config) == []
  assert all(key.meaning.strip() for key in KEYS.values())
  assert tuple(schema.SCHEMA["mesh"]) == MESH_AXES
  assert list(schema.FIGURES) == list(tasks.TASKS)


@pytest.mark.parametrize(
  ("name", "values"),
  {
    "optimizer.rates": (0.1, (0.1,), ((1, 0.1),), (("(", 0.1),), ()),
    "optimizer.ema": (2, 1.0, -0.1),
    "optimizer.decay": (3, ((5,),), ((5, NAN),), ((-1, 0.1),)),
    "optimizer.schedule": ("linear", ""),
    "optimizer.name": ("adam",),
    "pyramid.ranges": (3, (), ((4, 4),), ((0, NAN),), ((-1, 3),)),
    "train.batch_size": (0, 1.5, True),
    "train.length": (0, NAN, float("inf"), "many"),
    "train.unit": ("hours",),
    "model.width": (-5, 0),
    "decode.sigma": (-1,),
    "decode.max_detections": (0,),
    "log.profile_steps": (3, (3,), (5, 3), (0, 3)),
    "log.every_steps": (0,),
    "data.max_tokens": (0,),
    "data.num_frames": (0,),
    "data.format": ("csv",),
    "data.sampling": ("all",),
    "data.train_split": ("",),
    "data.augment.scale": (1.0, (2.0, 1.0), (0.0, 1.0)),
    "data.augment.flip": (1.5,),
    "data.num_workers": (0,),
    "data.classes": ("abc", ("",)),
    "eval.splits": ("val", (3,)),
    "checkpoint.best_metric": ("R1@5", ""),
    "checkpoint.keep": (0,),
    "loss.relevance": ("hinge",),
    "loss.displacement": ("iou+", "2*l2", "nan*iou", "iou l1"),
    "text.prompts": ((), ("no place",), ("{} {}",)),
    "init.take": ("(",),
    "mesh.fsdp": (0, -2),
    "seed": (-1,),
    "task": ("moments",),
  }.items(),
)
def test_a_wrong_value_is_one_line(name, values):
  for value in values:
    with pytest.raises(ValueError, match="cannot be; give") as error:
      check(with_value(name, value))
    text = str(error.value)
    assert text.startswith(f"{name}=")
    assert KEYS[name].allowed in text
    assert "\n" not in text


def test_right_values_pass():
  for name, value in {
    "loss.displacement": "0.5*l1 + 1.0*iou",
    "optimizer.decay": ((5, 0.1), (6.5, 1)),
    "log.profile_steps": (3, 5),
    "train.length": 3,
    "eval.splits": ("val", "test"),
    "mesh.data": -1,
  }.items():
    check(with_value(name, value))
  for name in losses.DISPLACEMENT_LOSSES:
    check(with_value("loss.displacement", name))


@pytest.mark.parametrize(
  ("name", "implemented"),
  [
    ("task", tasks.TASKS),
    ("model.fusion.pyramid_init", feature_pyramid.INITIALIZERS),
    ("model.image_tower.remat", ("none", *transformer.REMAT_POLICIES)),
    ("model.image_tower.activation", transformer.ACTIVATIONS),
    ("model.text_tower.activation", transformer.ACTIVATIONS),
    ("model.image_tower.kind", kinds.IMAGE_TOWERS),
    ("model.text_tower.kind", kinds.TEXT_TOWERS),
  ],
)
def test_choices_are_what_is_implemented(name, implemented):
  said = KEYS[name].allowed.removeprefix("one of ").split(", ")
  assert {word.strip("'") for word in said} == set(implemented)


@pytest.mark.parametrize(
  ("name", "value", "message"),
  [
    ("model.image_tower.kind", "siglip2", "give 'attention' or 'gap'"),
    ("model.image_tower.classifier", "attention", "give 'token' or 'gap'"),
    ("model.image_tower.class_token", False, "of kind='pe' alone"),
    ("model.image_tower.patch", 15, "patches of model.image_tower.patch=15"),
    (
      "model.text_tower.kind",
      "siglip2",
      "give model.text_tower.max_tokens, 77",
    ),
    ("model.text_tower.head_width", 3, "of kind='siglip2' alone"),
    ("data.short_side", 8, r"data\.short_side=8 is below"),
  ],
)
def test_what_cannot_be_side_by_side_is_refused(name, value, message):
  with pytest.raises(ValueError, match=message):
    check(with_value(name, value))


def test_a_stored_config_opens(tmp_path):
  """Of this version, of an earlier one, and not of a later one."""
  path = tmp_path / "config.json"
  values = json.loads(schema.base().to_json())
  path.write_text(json.dumps(values))
  assert stored.read(path) == schema.base()
  values["data"]["texts"], values["format"] = "captions", 1
  del values["data"]["max_corrupt_records"]
  path.write_text(json.dumps(values))
  assert stored.read(path) == schema.base()
  del values["streams"]
  values["data"]["inputs"] = "embeddings"
  path.write_text(json.dumps(values))
  assert stored.read(path).streams == ("embeddings",)
  values["model"]["warp"] = 9
  path.write_text(json.dumps(values))
  with pytest.raises(ValueError, match=r"config\.json: key 'model\.warp'"):
    stored.read(path)
  path.write_text("[")
  with pytest.raises(ValueError, match="not a config"):
    stored.read(path)


# What no key takes, whatever its type.
NEVER = (None, NAN, float("inf"), [()], ("x", 1, 2), b"x", object())


@pytest.mark.parametrize("name", KEYS)
def test_every_key_by_the_command_is_its_default_or_one_line(name):
  """Nothing that cannot be comes to a run; what can be does."""
  for value in NEVER:
    (found,) = problems(with_value(name, value))[:1]
    assert found.startswith(f"{name}=")
    assert KEYS[name].allowed in found
    assert "\n" not in found
  assert not KEYS[name].fits({})
  assert KEYS[name].fits(KEYS[name].default)


@pytest.mark.parametrize("task", schema.FIGURES)
def test_the_best_checkpoint_is_told_by_a_figure_of_the_task(task):
  config = schema.base().unlock()
  config.task = task
  for figure in schema.FIGURES[task]:
    config.checkpoint.best_metric = figure
    assert problems_of_run(config) == []
  others = {x for names in schema.FIGURES.values() for x in names}
  for figure in others.difference(schema.FIGURES[task]):
    config.checkpoint.best_metric = figure
    (line,) = problems_of_run(config)
    assert line.startswith(f"checkpoint.best_metric={figure!r} is no figure")
    assert schema.FIGURES[task][0] in line
