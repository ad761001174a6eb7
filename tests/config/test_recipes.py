"""The recipes of the paper, typed from its table, and exact sizes."""

import math
import re

import pytest

from configs.common import TOWERS
from tests.config.config_cases import load, shapes_of
from unloc_jax.annotations import class_lists
from unloc_jax.config.check import problems
from unloc_jax.config.keys import INF
from unloc_jax.training import optim
from unloc_jax.training.loop import run_length
from unloc_jax.weights.conversion import shapes

RANGES = {
  "V4": ((0, 4), (4, 8), (8, 16), (16, INF)),
  "V5": ((0, 4), (4, 8), (8, 16), (16, 32), (32, INF)),
  "QVH_B": ((0, 6), (6, 18), (18, 32), (32, INF)),
  "QVH_L": ((0, 6), (6, 12), (12, 24), (24, INF)),
  "ONE": ((0, INF),),
}

# Of the model: tokens L, what is frozen, convolutions of the head, whether
# levels share it, its bias, what the image tower gives, and the task, which
# says whether captions of other videos are negatives.
MODELS = """
name            size frames ranges fusion         tokens frozen head shared bias classifier task
anet_mr         B    128    V4     simple_pyramid 32     image  3    0      0.0  token      moment_retrieval
anet_mr         L    128    V4     fpn            16     text   4    1      0.0  gap        moment_retrieval
charades_mr     B    128    V4     fpn            16     text   3    0      0.0  token      moment_retrieval
qvhighlights_mr B    144    QVH_B  simple_pyramid 32     none   3    1      0.0  token      highlight_retrieval
qvhighlights_mr L    144    QVH_L  simple_pyramid 32     image  3    1      0.0  token      highlight_retrieval
anet_tal        B    128    V4     simple_pyramid 16     text   4    1      -5.0 token      temporal_localization
anet_tal        L    160    V5     simple_pyramid 0      given  4    1      -5.0 gap        temporal_localization
coin_as         L    512    ONE    transformer    0      given  0    0      -6.6 gap        action_segmentation
"""  # noqa: E501

# Of training: rate of fusion and head, epochs, and when the rate falls to a
# tenth, in epochs. COIN's paper counts steps, 132 an epoch.
TRAINING = """
name            size rate epochs warmup   schedule
anet_mr         B    0.1  20     2.5      constant
anet_mr         L    0.1  40     5        35
charades_mr     B    0.1  30     5        constant
qvhighlights_mr B    0.1  30     2.5      cosine
qvhighlights_mr L    0.1  30     2.5      cosine
anet_tal        B    0.1  20     2.5      18
anet_tal        L    0.01 30     5        constant
coin_as         L    0.1  55     3.787879 50
"""


def rows(table):
  """A dictionary a line."""
  head, *lines = (line.split() for line in table.strip().splitlines())
  return [dict(zip(head, line, strict=True)) for line in lines]


def of_rows(table):
  """Runs a test with the row and config of every line."""
  return pytest.mark.parametrize(
    ("row", "config"),
    [(row, load(row["name"], row["size"])) for row in rows(table)],
    ids=[f"{row['name']}:{row['size']}" for row in rows(table)],
  )


@of_rows(MODELS)
def test_model(row, config):
  model, head = config.model, config.model.head
  assert config.task == row["task"]
  assert config.data.num_frames == int(row["frames"])
  assert config.pyramid.ranges == RANGES[row["ranges"]]
  assert config.pyramid.radius == 3.0
  assert model.fusion.kind == row["fusion"]
  assert model.fusion.num_layers == 6
  assert model.fusion.downsampling == "max_pool"
  assert model.text_part == "eos"
  if row["frozen"] != "given":
    assert config.data.max_tokens == int(row["tokens"])
  assert head.num_layers == int(row["head"])
  assert head.shared_across_levels == (row["shared"] == "1")
  assert head.relevance_bias == float(row["bias"])
  wanted = 0.0 if row["name"] == "charades_mr" else 2.0
  assert head.displacement_bias == wanted
  assert model.image_tower.classifier == row["classifier"]
  # The paper's recipe recomputes in the Large towers; it changes no value.
  assert model.image_tower.remat == "full"


@of_rows(MODELS)
def test_frozen_towers(row, config):
  image, text = config.model.image_tower, config.model.text_tower
  assert image.num_layers > 0
  assert image.frozen == (row["frozen"] == "image")
  assert (text.num_layers == 0) == (row["frozen"] == "given")
  shapes = shapes_of(row["name"], row["size"])
  _, frozen = optim.split_frozen(config, shapes)
  towers = {"image": {"image_tower"}, "text": {"text_tower"}}
  wanted = towers.get(row["frozen"], set())
  assert {name.split("/")[0] for name in frozen} == wanted
  if row["frozen"] == "given":
    assert not any(name.startswith("text_") for name in shapes)


@of_rows(TRAINING)
def test_optimization(row, config):
  o = config.optimizer
  assert (o.name, o.momentum, o.clip_norm) == ("sgd", 0.9, 1.0)
  assert (o.weight_decay, o.ema) == (0.0, 0.0)
  assert config.train.batch_size == 64
  trained, _ = optim.split_frozen(config, shapes_of(row["name"], row["size"]))
  fast = ("fusion/", "relevance_head/", "displacement_head/")
  for name, rate in optim.base_rates(o.rates, sorted(trained)).items():
    wanted = float(row["rate"]) if name.startswith(fast) else 0.01
    assert rate == wanted, name
  unit, total = run_length(config, config.train.num_videos)
  epoch = config.train.num_videos // 64
  assert total == int(row["epochs"]) * epoch
  assert round(o.warmup * unit) == round(float(row["warmup"]) * epoch)
  if row["schedule"].isdigit():
    assert o.schedule == "steps"
    steps = [(round(at * unit), factor) for at, factor in o.decay]
    assert steps == [(int(row["schedule"]) * epoch, 0.1)]
  else:
    assert (o.schedule, o.decay) == (row["schedule"], ())


@of_rows(MODELS)
def test_losses_decoding_and_input(row, config):
  loss, data = config.loss, config.data
  assert loss.relevance_weight == 10.0
  assert (loss.focal_gamma, loss.focal_alpha) == (2.0, 0.25)
  segmentation = row["name"] == "coin_as"
  assert loss.relevance == ("sigmoid" if segmentation else "focal")
  assert loss.displacement == "iou"
  d = config.decode
  assert (d.sigma, d.score_threshold, d.max_detections) == (0.3, 0.001, 100)
  rate = row["name"] == "qvhighlights_mr"
  assert data.sampling == ("rate" if rate else "linspace")
  assert (data.rate, data.image_size) == (1.0, 224)
  a = data.augment
  action = row["name"] in ("anet_tal", "coin_as")
  assert a.scale == ((0.9, 1.33) if action else (1.0, 1.0))
  assert (a.colour, a.grey) == ((0.8, 0.1) if action else (0.0, 0.0))
  assert (a.rand_layers, a.rand_magnitude) == (3 if action else 0, 10)
  assert a.flip == (0.5 if action else 0.0)
  # The crop is never larger than the scaled frame.
  assert data.short_side * a.scale[0] >= data.image_size


@pytest.mark.parametrize(
  ("size", "patch", "width", "layers", "heads", "text", "text_heads", "dim"),
  [("B", 16, 768, 12, 12, 512, 8, 512), ("L", 14, 1024, 24, 16, 768, 12, 768)],
)
def test_towers(size, patch, width, layers, heads, text, text_heads, dim):
  model = load("qvhighlights_mr", size).model
  image = model.image_tower
  assert (image.patch, image.width) == (patch, width)
  assert (image.num_layers, image.num_heads) == (layers, heads)
  assert (model.text_tower.width, model.text_tower.num_layers) == (text, 12)
  assert (model.text_tower.num_heads, model.width) == (text_heads, dim)
  assert model.fusion.num_heads == {512: 8, 768: 12}[dim]
  assert model.fusion.mlp_dim == 4 * dim


# Of the towers as their makers build them, less what scales similarities.
TOWER_COUNTS = {
  "B": 149_620_736,
  "L": 427_616_512,
  "clip_b32": 151_277_312,
  "clip_l14_336": 427_944_192,
  "openclip_b32": 151_277_312,
  "openclip_b16": 149_620_736,
  "openclip_l14": 427_616_512,
  "openclip_h14": 986_109_440,
  "openclip_g14": 1_366_678_272,
  "siglip2_b16": 375_187_968,
  "siglip2_l16_256": 881_526_784,
  "siglip2_so400m14_384": 1_136_008_496,
  "pe_b16": 447_659_520,
  "pe_l14_336": 671_137_792,
}


@pytest.mark.parametrize("name", TOWERS)
def test_published_towers_fit_every_benchmark(name):
  for benchmark in {name for name, _ in COUNTS}:
    config = load(benchmark, name)
    assert config.data.short_side >= config.data.image_size
    assert not problems(config)
    tower = config.model.image_tower
    if tower.kind != "clip":  # A pooled head is kept.
      assert tower.classifier == "attention"
  count = tower_count(TOWERS[name])
  assert count == TOWER_COUNTS.get(name, count)


def tower_count(made) -> int:
  """Parameters of both towers, the first two of their layers traced."""
  image = {**made.image, "image_size": made.image_size}
  total = 0
  for part, sizes in (("image", image), ("text", made.text)):
    one, two = (
      sum(math.prod(leaf.shape) for leaf in shapes(given).values())
      for given in (
        {part: {**sizes, "num_layers": layers}, "width": made.width}
        for layers in (1, 2)
      )
    )
    total += one + (sizes["num_layers"] - 1) * (two - one)
  if made.image.get("kind") == "siglip2":
    total -= 2 * made.width**2  # It has no projections; ours change nothing.
  return total


COUNTS = {
  ("anet_mr", "B"): 187_562_252,
  ("anet_mr", "L"): 484_336_651,
  ("charades_mr", "B"): 187_562_252,
  ("charades_mr", "L"): 484_468_747,
  ("qvhighlights_mr", "B"): 173_386_507,
  ("qvhighlights_mr", "L"): 480_941_579,
  ("anet_tal", "B"): 174_950_155,
  ("anet_tal", "L"): 360_690_957,
  ("coin_as", "B"): 168_929_025,
  ("coin_as", "L"): 346_493_697,
  ("kinetics_pretrain", "B"): 168_645_377,
  ("kinetics_pretrain", "L,classes=700"): 470_165_505,
}


@pytest.mark.parametrize(("name", "argument"), COUNTS)
def test_exact_parameter_counts(name, argument):
  """The sums of tests/models/test_param_counts.py, of every module."""
  leaves = shapes_of(name, argument).values()
  assert sum(math.prod(leaf.shape) for leaf in leaves) == COUNTS[name, argument]


@pytest.mark.parametrize("classes", ["400", "600", "700"])
def test_pretraining_matches_what_it_is_for(classes):
  for size in "BL":
    source = load("kinetics_pretrain", f"{size},classes={classes}")
    config = load("anet_tal", f"{size},init=pretraining")
    for key in ("fusion", "image_tower", "width"):
      assert source.model[key] == config.model[key]
    assert source.pyramid == config.pyramid
    assert source.model.text_tower.frozen
    assert source.model.head.num_layers == 0
    assert source.text.prompts == class_lists.prompt_templates("action")


def test_weights_taken():
  """CLIP gives the towers, pretraining all but the heads."""
  modules = {name.split("/")[0] for name in shapes_of("anet_tal", "B")}
  towers = {"image_tower", "text_tower"}
  towers |= {"image_projection", "text_projection"}
  assert modules == towers | {"fusion", "relevance_head", "displacement_head"}
  for start, wanted in (("clip", towers), ("pretraining", towers | {"fusion"})):
    take = load("anet_tal", f"B,init={start}").init.take
    assert {m for m in modules if re.match(take, f"{m}/kernel")} == wanted


def test_embedded_benchmark_shares_its_second_stage():
  first = load("synthetic_mr", "")
  for name in ("synthetic_tal", "synthetic_as", "synthetic_cls"):
    config = load(name, "")
    assert config.optimizer == first.optimizer
    assert config.train.batch_size == first.train.batch_size
    assert config.model.image_tower == first.model.image_tower
    assert config.model.text_tower == first.model.text_tower
    assert config.model.image_tower.frozen
    assert config.train.cache_frame_tokens
  split = load("synthetic_tal", "split=zero-shot")
  assert len(split.data.classes) == 23
  assert len(split.eval.classes) == 8
  assert not set(split.data.classes) & set(split.eval.classes)
