"""Every key of a config, declared once with its meaning.

A benchmark's config (configs/anet_mr.py, ...) calls `base` and changes what
differs; keys that are not here cannot be set. Lengths of training (`length`,
`warmup`, `decay`, `every`) are in `train.unit`.
"""

from collections.abc import Mapping, Sequence

import ml_collections

from unloc_jax.config.data import data_config

INF = float("inf")
RANGES_4 = ((0, 4), (4, 8), (8, 16), (16, INF))
RANGES_5 = ((0, 4), (4, 8), (8, 16), (16, 32), (32, INF))

# Fusion and heads learn ten times as fast as the pretrained towers.
FAST_HEADS = (
  ("(fusion|relevance_head|displacement_head)/", 0.1),
  ("", 0.01),
)


def base() -> ml_collections.ConfigDict:
  """The common recipe of the paper (B/16, moment retrieval, 64 videos)."""
  c = ml_collections.ConfigDict()
  # One of unloc_jax.task.tasks.TASKS.
  c.task = "moment_retrieval"
  # Of parameters, shuffling, augmentation and dropout.
  c.seed = 0
  c.data = data_config()
  c.text = _text()
  c.pyramid = _pyramid()
  c.model = _model()
  c.loss = _loss()
  c.optimizer = _optimizer()
  c.train = _train()
  c.init = _init()
  c.decode = _decode()
  c.eval = _eval()
  c.checkpoint = _checkpoint()
  c.mesh = _mesh()
  c.log = _log()
  return c.lock()


def _text() -> ml_collections.ConfigDict:
  """Class prompts, for tasks whose texts are classes."""
  c = ml_collections.ConfigDict()
  # Templates with one {} for the class name; training draws one a step,
  # evaluation averages the embeddings of all.
  c.prompts = ("a video of {}",)
  # Classes drawn a training step, of those there are; 0 = all.
  c.sampled = 0
  # .npz of class embeddings to use in place of a text tower, as
  # unloc_jax.embed_classes writes it.
  c.class_embeddings = ""
  return c


def _pyramid() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # Per level, finest first: [low, high) of the larger displacement in frames
  # of the segments it is in charge of. As many levels as ranges.
  c.ranges = RANGES_4
  # Positive points lie within this many strides of a segment's centre.
  c.radius = 3.0
  return c


def _model() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # Fusion width D.
  c.width = 512
  # "eos" (the end token) or "all" (all L tokens): the text that is fused.
  c.text_part = "eos"
  # Of computation, "float32" or "bfloat16"; parameters are float32.
  c.dtype = "float32"
  # One traced body for all layers of a tower, of fusion, of a head's branch.
  c.scan_layers = False

  c.image_tower = ml_collections.ConfigDict()
  # Side of a patch in pixels.
  c.image_tower.patch = 16
  c.image_tower.width = 768
  # 0: no tower; batches carry precomputed frame embeddings.
  c.image_tower.num_layers = 12
  c.image_tower.num_heads = 12
  # "token" (a class embedding per frame position) or "gap".
  c.image_tower.classifier = "token"
  # A class embedding per frame position; otherwise one for all, as in CLIP.
  c.image_tower.per_frame_class = True
  # No gradient, no optimizer state.
  c.image_tower.frozen = False
  c.image_tower.stochastic_depth = 0.0
  # "none", "full" or "dots": what the backward pass recomputes.
  c.image_tower.remat = "none"

  c.text_tower = ml_collections.ConfigDict()
  c.text_tower.vocab_size = 49408
  # Rows of the positional embedding; data.max_tokens may be fewer.
  c.text_tower.max_tokens = 77
  c.text_tower.width = 512
  # 0: no tower; texts are precomputed embeddings of width D.
  c.text_tower.num_layers = 12
  c.text_tower.num_heads = 8
  c.text_tower.frozen = False
  c.text_tower.remat = "none"

  c.fusion = ml_collections.ConfigDict()
  # "transformer", "simple_pyramid", "fpn", "late" (the text is compared with
  # the points, not fused) or "none" (compared with the frame tokens).
  c.fusion.kind = "simple_pyramid"
  c.fusion.num_layers = 6
  c.fusion.num_heads = 8
  c.fusion.mlp_dim = 2048
  # Between the levels of "fpn": "max_pool", "avg_pool", "subsample",
  # "strided_conv" or "strided_depthwise_conv".
  c.fusion.downsampling = "max_pool"
  # How the pyramid's depthwise kernels start: "lecun_normal" as in the
  # reference, or "identity", near which tiny models learn twice as fast.
  c.fusion.pyramid_init = "lecun_normal"
  # "cosine" or "dot": how "late" and "none" compare.
  c.fusion.similarity = "cosine"
  c.fusion.dropout = 0.0
  c.fusion.attention_dropout = 0.0
  c.fusion.stochastic_depth = 0.0
  c.fusion.remat = "none"
  # Texts that a device fuses with its videos at a time, so that memory stays
  # flat as texts or devices grow; 0 = all at once.
  c.fusion.query_chunk = 0

  c.head = ml_collections.ConfigDict()
  # Convolutions before the linear map; 0 = linear.
  c.head.num_layers = 3
  c.head.shared_across_levels = False
  # Initial bias of the relevance logit and of the displacement.
  c.head.relevance_bias = 0.0
  c.head.displacement_bias = 2.0
  return c


def _loss() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # "focal", "sigmoid", or "softmax" over the texts.
  c.relevance = "focal"
  # "iou", "l1", "center" or a weighted sum such as "0.5*l1+1.0*iou".
  c.displacement = "iou"
  c.relevance_weight = 10.0
  c.focal_gamma = 2.0
  c.focal_alpha = 0.25
  return c


def _optimizer() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # "sgd" or "adamw".
  c.name = "sgd"
  c.momentum = 0.9
  # Second-moment decay of adamw.
  c.beta2 = 0.999
  # Decoupled weight decay of matrices (not biases, norms, embeddings).
  c.weight_decay = 0.0
  # Largest norm of the gradient of all trained parameters; 0 = no limit.
  c.clip_norm = 1.0
  # (regular expression, base rate): the first that a parameter's path matches
  # counts. Every parameter must be covered and every pattern used.
  c.rates = FAST_HEADS
  # Linear warm-up from 0.
  c.warmup = 2.5
  # "constant", "cosine" (to 0 at the end) or "steps".
  c.schedule = "constant"
  # ((at, factor), ...) of schedule "steps".
  c.decay = ()
  # Decay of the running average of parameters that is evaluated; 0 = none.
  c.ema = 0.0
  return c


def _train() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # Videos of a global batch.
  c.batch_size = 64
  # Parts of the batch that a step computes one after another, for less
  # memory; the same gradient, as every video meets all texts of the batch.
  c.accumulate = 1
  # "epochs" or "steps".
  c.unit = "epochs"
  c.length = 20.0
  # Tokens of a frozen image tower are computed once per video and kept on
  # disk under the workdir; not with augmentation.
  c.cache_frame_tokens = False
  # Steps with a loss that is not finite that are skipped before a run stops.
  c.max_skipped = 10
  # Training videos of the official split: epochs can be counted before any
  # data is there, and a run says when its data is not whole; 0 = unknown.
  c.num_videos = 0
  # Classes of the official dataset, for plans before any data is there; 0 =
  # unknown, or no classes.
  c.num_classes = 0
  return c


def _init() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # Folder of weights to start from: what pretrained.clip writes, or an
  # export; "" = random.
  c.weights = ""
  # Regular expression of the parameters taken from it.
  c.take = "(image|text)_(tower|projection)/"
  return c


def _decode() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # Soft-NMS: width of the Gaussian, 0 = hard NMS at tIoU 0.5.
  c.sigma = 0.3
  c.score_threshold = 0.001
  c.max_detections = 100
  # Soft-NMS over all classes of a video together.
  c.class_agnostic = False
  return c


def _eval() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # Rows of a global batch; a video with many captions takes several rows.
  c.batch_size = 16
  # Between evaluations, in train.unit; 0 = only at the end.
  c.every = 1.0
  # Splits scored at the end; the first is the one scored in between.
  c.splits = ("val",)
  # Classes asked for, by name, where they are not those of training
  # (zero-shot: the unseen ones); () = data.classes.
  c.classes = ()
  # Timelines drawn of each split.
  c.num_drawn = 8
  return c


def _checkpoint() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # Between checkpoints, in train.unit.
  c.every = 1.0
  # Latest checkpoints kept, besides the best.
  c.keep = 2
  # Metric of eval.splits[0] that says which is best, the higher the better.
  c.best_metric = "R1@0.5"
  return c


def _mesh() -> ml_collections.ConfigDict:
  """Devices per mesh axis; one of them may be -1, for all that are left."""
  c = ml_collections.ConfigDict()
  # Copies of the model, each with its share of the batch. -1: all that are
  # left, or, where they are more than the videos of a batch, as many as divide
  # those; fsdp takes the others.
  c.data = -1
  # Shares of parameters and optimizer state; also splits the batch.
  c.fsdp = 1
  # Shares of attention heads and MLPs.
  c.model = 1
  return c


def _log() -> ml_collections.ConfigDict:
  c = ml_collections.ConfigDict()
  # Steps between logged losses.
  c.every_steps = 50
  # First and last step to profile into the workdir; () = none.
  c.profile_steps = ()
  return c


_SIZES = {
  # patch, width, layers, heads, text width, text heads, D, fusion heads
  "B": (16, 768, 12, 12, 512, 8, 512, 8),
  "L": (14, 1024, 24, 16, 768, 12, 768, 12),
}


def set_size(c: ml_collections.ConfigDict, size: str) -> None:
  """Sets the towers and fusion to UnLoc-B (CLIP B/16) or -L (CLIP L/14).

  Raises:
    ValueError: The size is neither "B" nor "L".
  """
  if size not in _SIZES:
    raise ValueError(f"size {size!r} is not one of {', '.join(_SIZES)}")
  patch, width, layers, heads, text_width, text_heads, dim, fusion_heads = (
    _SIZES[size]
  )
  image, text, fusion = c.model.image_tower, c.model.text_tower, c.model.fusion
  image.patch, image.width = patch, width
  image.num_layers, image.num_heads = layers, heads
  text.width, text.num_heads = text_width, text_heads
  c.model.width = dim
  fusion.num_heads, fusion.mlp_dim = fusion_heads, 4 * dim


# What `init=` of a config's argument takes of the weights: the towers of
# CLIP, or all that a pretraining run shares with its target.
_TAKEN = {
  "clip": "(image|text)_(tower|projection)/",
  "pretraining": "((image|text)_(tower|projection)|fusion)/",
}


def parse_argument(
  argument: str, choices: Mapping[str, Sequence[str]]
) -> dict[str, str]:
  """What follows the colon of --config: `L` or `B,split=50-0`.

  Args:
    argument: Settings `name=value`; a first one without a name is the size.
      Whatever is left out has its default.
    choices: Values of each setting, its default first.

  Returns:
    The value of every setting.

  Raises:
    ValueError: Something is not among the choices.
  """
  chosen = {name: values[0] for name, values in choices.items()}
  for place, part in enumerate(filter(None, argument.split(","))):
    name, equals, value = part.strip().partition("=")
    if not equals and place == 0:
      name, value = "size", name
    if value not in choices.get(name, ()):
      known = "; ".join(
        f"{name}={'|'.join(filter(None, values))}"
        for name, values in choices.items()
      )
      raise ValueError(f"config argument {part!r} is not known; give {known}")
    chosen[name] = value
  return chosen


def start(
  argument: str, **choices: Sequence[str]
) -> tuple[ml_collections.ConfigDict, dict[str, str]]:
  """The unlocked base config of a benchmark, and its parsed argument.

  Every benchmark takes a size and `init=clip` or `init=pretraining`, which
  says what `init.weights` is; `choices` adds to that.
  """
  common_choices = {"size": tuple(_SIZES), "init": tuple(_TAKEN)}
  chosen = parse_argument(argument, {**common_choices, **choices})
  c = base().unlock()
  set_size(c, chosen["size"])
  # Neither changes values: one compiled body for all layers, which does not
  # keep what the backward pass can compute again.
  c.model.scan_layers = True
  c.model.image_tower.remat = "full"
  c.init.take = _TAKEN[chosen["init"]]
  return c, chosen


def set_steps(c: ml_collections.ConfigDict, *decay: float) -> None:
  """Rates fall to a tenth at these times, in `train.unit`."""
  c.optimizer.schedule = "steps"
  c.optimizer.decay = tuple((at, 0.1) for at in decay)


def set_gap(c: ml_collections.ConfigDict) -> None:
  """The Large image tower: mean over patches, no class token."""
  c.model.image_tower.classifier = "gap"


def set_classes(
  c: ml_collections.ConfigDict, templates: Sequence[str], chunk: int
) -> None:
  """Texts are class prompts of 16 tokens; the text tower is frozen.

  Args:
    c: Changed.
    templates: With one {} for the class name.
    chunk: Classes fused at a time, all at once need too much memory.
  """
  c.data.texts = "classes"
  c.data.max_tokens = 16
  c.text.prompts = tuple(templates)
  c.model.text_tower.frozen = True
  c.model.fusion.query_chunk = chunk


def set_class_embeddings(c: ml_collections.ConfigDict) -> None:
  """Class embeddings of `text.class_embeddings` in place of a text tower."""
  c.model.text_tower.num_layers = 0


def set_augmentation(c: ml_collections.ConfigDict) -> None:
  """Pixels of action benchmarks: classes do not say left, right or red."""
  # The short side of the smallest scale, 0.9, is still above the crop.
  c.data.short_side = 256
  c.data.augment.flip = 0.5
  c.data.augment.scale = (0.9, 1.33)
  c.data.augment.colour = 0.8
  c.data.augment.grey = 0.1
  c.data.augment.rand_layers = 3
  c.data.augment.rand_magnitude = 10
