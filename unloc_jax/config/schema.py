"""Every key of a config, declared once: default, meaning, what is allowed.

`configs/` start from `base()` and change values; a key that is not here cannot
be set. Lengths of training (`length`, `warmup`, `decay`, `every`) are in
`train.unit`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import ml_collections

from unloc_jax.config.keys import (
  INF,
  Key,
  choice,
  flag,
  is_number,
  is_pair,
  is_pattern,
  is_text,
  is_whole,
  names,
  pattern,
  real,
  several,
  text,
  whole,
)

Section: TypeAlias = Mapping[str, "Key | Section"]

RANGES_4 = ((0, 4), (4, 8), (8, 16), (16, INF))
RANGES_5 = ((0, 4), (4, 8), (8, 16), (16, 32), (32, INF))

# Fusion and heads learn ten times as fast as the pretrained towers.
FAST_HEADS = (
  ("(fusion|relevance_head|displacement_head)/", 0.1),
  ("", 0.01),
)

_TERM = r"(\d+\.?\d*\s*\*\s*)?(iou|l1|center)"
_SUM = re.compile(rf"\s*{_TERM}(\s*\+\s*{_TERM})*\s*")

_RECALLS = tuple(f"R{k}@{m}" for k in (1, 5) for m in (0.3, 0.5, 0.7))
_RECALLS += ("mIoU",)
# Tasks, and what their scores are called.
FIGURES: Mapping[str, tuple[str, ...]] = {
  "moment_retrieval": _RECALLS,
  "matched_moment_retrieval": _RECALLS,
  "highlight_retrieval": (
    *("MR-full-R1@0.5", "MR-full-R1@0.7", "MR-full-mAP"),
    *("HL-min-VeryGood-mAP", "HL-min-VeryGood-Hit1"),
  ),
  "temporal_localization": ("mAP@0.5", "mAP@0.75", "mAP@0.95", "mAP"),
  "action_segmentation": ("accuracy", "frame mAP"),
  "frame_tagging": ("F1", "precision", "recall"),
  "classification": ("top1", "top5"),
}


def _activation() -> Key:
  return choice(
    "quick_gelu",
    "Of the MLPs: OpenAI's CLIP has quick GELU, most of OpenCLIP's, PE and"
    " BERT have GELU, SigLIP 2 its approximation by tanh.",
    *("gelu", "gelu_tanh"),
  )


def _remat() -> Key:
  return choice("none", "What the backward pass redoes.", "full", "dots")


def _share(default: float, meaning: str) -> Key:
  return real(default, meaning, 0.0, 1.0)


def _below_1(default: float, meaning: str) -> Key:
  return real(default, meaning, 0.0, 1.0, open_high=True)


def _positive(default: float, meaning: str) -> Key:
  return real(default, meaning, 0.0, open_low=True)


# Of training; the same for all frames of a video.
_AUGMENT: Section = {
  "random_crop": flag(True, "Random place of the crop; else the centre."),
  "flip": _share(0.0, "Probability; 0 where texts say 'left' and 'right'."),
  "scale": Key(
    (1.0, 1.0),
    "The short side is multiplied by a uniform draw from this range.",
    "(low, high), both above 0 and low at most high",
    lambda value: (
      is_pair(is_number, is_number)(value) and 0 < value[0] <= value[1]
    ),
  ),
  "colour": _share(0.0, "Probability of changing brightness, hue and so on."),
  "grey": _share(0.0, "Probability of dropping colour."),
  "rand_layers": whole(0, "RandAugment: operations in a row."),
  "rand_magnitude": real(10, "RandAugment: their strength.", 0, 10),
  "shortest_window": _share(
    1.0, "Training sees a random stretch of a video, at least this share of it."
  ),
  "stretch": real(
    0.0, "The stretch is played up to exp(this) times slower or faster.", 0.0
  ),
  "segment_jitter": real(0.0, "Share of a segment that its ends move by.", 0.0),
}

_DATA: Section = {
  "path": text("", "A built folder: <data_dir>/<dataset>/<version>."),
  "format": choice(
    "tfds",
    "'tfds' is what data_preprocessing builds; 'mediasequence' are"
    " tf.train.SequenceExample files as DMVR and Scenic write them.",
    "mediasequence",
  ),
  "train_split": text(
    "train",
    "TFDS split, slices such as 'train[:10%]' included; of MediaSequence the"
    " part of the file names that tells splits apart.",
  ),
  "mediasequence_frame_rate": _positive(
    10.0, "Frames per second of records that do not state it."
  ),
  "embedding_width": whole(512, "Width D_in of the stream 'embeddings'.", 1),
  "sound_width": whole(
    969,
    "Width of the stream 'sound': 969 of YAMNet with the names of its classes,"
    " or 6400 / rate of log-mel.",
    1,
  ),
  "text_width": whole(
    0,
    "Channels E of texts' tokens that the dataset holds, in place of a text"
    " tower; 0 = texts are read.",
  ),
  "num_frames": whole(128, "Frames T fed per video.", 1),
  "sampling": choice(
    "linspace",
    "'linspace': T positions spread over the whole video; 'rate': one frame"
    " per 1/rate seconds, the first T of them, the rest padding.",
    "rate",
  ),
  "rate": real(
    1.0, "Frames per second of sampling='rate'; 0: all that are stored.", 0.0
  ),
  "image_size": whole(224, "Side of the square crop, pixels.", 1),
  "short_side": whole(224, "Of frames before the crop, pixels.", 1),
  "classes": names((), "Classes kept, in this order; () keeps all."),
  "max_queries": whole(
    8,
    "Captions per video Qv; training draws as many of longer lists,"
    " evaluation gives a video several rows.",
    1,
  ),
  "max_segments": whole(32, "Segments per video S; the first are kept.", 1),
  "max_tokens": whole(32, "Tokens per text L, start and end included.", 3),
  "augment": _AUGMENT,
  "num_workers": whole(
    -1, "Parallel readers and decoders; -1 lets tf.data choose.", 1, (-1,)
  ),
  "prefetch": whole(2, "Batches made ahead of the step that takes them.", 1),
  "verify_gib": real(
    4.0,
    "Splits of up to this size have every record's checksum verified before"
    " the first step; records of larger ones are verified when read.",
    0.0,
  ),
  "max_corrupt_records": whole(0, "Skipped and counted before a run stops."),
}

_TEXT: Section = {
  "prompts": several(
    ("a video of {}",),
    "Templates for class names; training draws one a step, evaluation averages"
    " the embeddings of all.",
    "a tuple of at least one text with one {} each",
    lambda value: is_text(value) and value.count("{}") == 1,
    least=1,
  ),
  "sampled": whole(0, "Classes drawn a training step; 0 = all."),
  "sampled_for": choice(
    "step",
    "Whom they are drawn for: all videos of a step, or each video, its own"
    " classes before others.",
    "video",
  ),
  "class_embeddings": text("", "Their .npz, in place of a text tower."),
  "tokenizer": text(
    "",
    "tokenizer.json of a text tower that is not CLIP's; '' = the one beside"
    " init.weights.",
  ),
  "sentences": text(
    "", "Embeddings of sentences, .npz, in place of a text tower."
  ),
  "sentence_width": whole(
    0,
    "Of such a sentence: cosines with the names of C classes, and its"
    " embedding; 0 = texts are token ids.",
  ),
}

_PYRAMID: Section = {
  "ranges": several(
    RANGES_4,
    "Per level, finest first: [low, high) of the larger displacement, in"
    " frames, of the segments it is in charge of. As many levels as ranges.",
    "a tuple of at least one level (low, high), 0 <= low < high",
    lambda value: (
      is_pair(is_number, lambda high: is_number(high) or high == INF)(value)
      and 0 <= value[0] < value[1]
    ),
    least=1,
  ),
  "radius": _positive(3.0, "Strides from a centre to its positive points."),
}

_IMAGE_TOWER: Section = {
  "kind": choice(
    "clip",
    "CLIP's, SigLIP 2's or Perception Encoder's; pixels are normalised as it"
    " was trained.",
    *("siglip2", "pe"),
  ),
  "patch": whole(16, "Side of a patch, pixels.", 1),
  "width": whole(768, "Channels.", 1),
  "num_layers": whole(12, "0: no tower; batches carry precomputed embeddings."),
  "num_heads": whole(12, "Attention heads.", 1),
  "mlp_dim": whole(0, "Hidden channels of a block's MLP; 0 = 4 * width."),
  "activation": _activation(),
  "classifier": choice(
    "token",
    "A frame's token: the class embedding's, of kind 'clip' alone, the mean,"
    " or all by attention, of kinds 'siglip2' and 'pe'.",
    *("gap", "attention"),
  ),
  "class_token": flag(
    True, "Of kind 'pe': a class embedding is among the tokens."
  ),
  "per_frame_class": flag(True, "One a frame position; else one, as in CLIP."),
  "frozen": flag(False, "No gradient, no optimizer state."),
  "stochastic_depth": _below_1(0.0, "Probability of skipping the last block."),
  "remat": _remat(),
}

_TEXT_TOWER: Section = {
  "kind": choice(
    "clip",
    "CLIP's (also Perception Encoder's), SigLIP 2's or BERT, as in MiniLM;"
    " says which token stands for the text, or their mean.",
    *("siglip2", "bert"),
  ),
  "vocab_size": whole(49408, "Tokens known.", 1),
  "max_tokens": whole(77, "Positions; data.max_tokens may be fewer.", 3),
  "width": whole(512, "Channels.", 1),
  "num_layers": whole(12, "0: no tower; texts are embeddings of width D."),
  "num_heads": whole(8, "Attention heads.", 1),
  "mlp_dim": whole(0, "Hidden channels of a block's MLP; 0 = 4 * width."),
  "activation": _activation(),
  "head_width": whole(0, "Of kind 'siglip2': of its output; 0 = width."),
  "frozen": flag(False, "No gradient, no optimizer state."),
  "remat": _remat(),
}

_STEM: Section = {
  "num_layers": whole(
    0,
    "Convolutions along time: in place of an image tower over embeddings, or"
    " added to what one makes of frames; 0: none.",
  ),
  "width": whole(64, "Channels; beside an image tower model.width.", 1),
  "kernel": whole(9, "Positions that a convolution sees.", 1),
  "dropout": _below_1(0.0, "Of what a convolution adds."),
  "noise": real(0.0, "Training: noise on normalised embeddings.", 0.0),
  "channel_dropout": _below_1(
    0.0, "Training: probability that a channel of a video is hidden."
  ),
}

_SOUND_TOWER: Section = {
  "width": whole(128, "Channels.", 1),
  "num_layers": whole(0, "Convolutions over log-mel; 0 = rows of YAMNet."),
  "frozen": flag(False, "No gradient, no optimizer state."),
}

_MATCH: Section = {
  "names": whole(
    0,
    "C, named classes: rows of sound begin with their scores, sentences with"
    " cosines. What is heard of the classes near to a sentence is said to"
    " fusion; 0 = none.",
  ),
  "num_scales": whole(4, "From its nearest names to many.", 1),
}

_FUSION: Section = {
  "kind": choice(
    "simple_pyramid",
    "How texts and frames meet; 'late' compares the text with the points and"
    " 'none' with the frame tokens.",
    *("transformer", "fpn", "late", "none"),
  ),
  "num_layers": whole(6, "Transformer blocks."),
  "num_heads": whole(8, "Attention heads.", 1),
  "mlp_dim": whole(2048, "Hidden channels of a block's MLP.", 1),
  "downsampling": choice(
    "max_pool",
    "Between the levels of 'fpn'.",
    *("avg_pool", "subsample", "strided_conv", "strided_depthwise_conv"),
  ),
  "pyramid_init": choice(
    "lecun_normal",
    "How the pyramid's depthwise kernels start: as in the reference, or near"
    " the identity, from where tiny models learn twice as fast.",
    "identity",
  ),
  "product": flag(
    False,
    "Frames come with a linear map of their product with the text: what stage"
    " 1 taught both towers to compare is seen from the first step.",
  ),
  "similarity": choice("cosine", "How 'late' and 'none' compare.", "dot"),
  "dropout": _below_1(0.0, "Of features."),
  "attention_dropout": _below_1(0.0, "Of attention weights."),
  "stochastic_depth": _below_1(0.0, "Probability of skipping the last block."),
  "remat": _remat(),
  "query_chunk": whole(
    0,
    "Texts that a device fuses with its videos at a time, so that memory stays"
    " flat as texts or devices grow; 0 = all at once.",
  ),
}

_HEAD: Section = {
  "num_layers": whole(3, "Convolutions before the linear map; 0 = linear."),
  "shared_across_levels": flag(False, "One head for all levels."),
  "relevance_bias": real(0.0, "Initial bias of the relevance logit."),
  "displacement_bias": real(2.0, "Initial bias of the displacement."),
}

_MODEL: Section = {
  "width": whole(512, "Fusion width D.", 1),
  "text_part": choice(
    "eos", "Fused: what stands for the text, or all L tokens.", "all"
  ),
  "dtype": choice(
    "float32",
    "Of towers, fusion and heads; softmax, LayerNorms, losses, parameters and"
    " optimizer are float32. 'auto': bfloat16 on GPU and TPU, float32 on CPU.",
    *("bfloat16", "auto"),
  ),
  "scan_layers": flag(False, "One traced body for all layers of a stack."),
  "image_tower": _IMAGE_TOWER,
  "stem": _STEM,
  "text_tower": _TEXT_TOWER,
  "sound_tower": _SOUND_TOWER,
  "match": _MATCH,
  "fusion": _FUSION,
  "head": _HEAD,
}

_LOSS: Section = {
  "relevance": choice(
    "focal",
    "'softmax' is over the texts and, where frames have classes, none of them:"
    " a background that is learned.",
    *("sigmoid", "softmax"),
  ),
  "displacement": Key(
    "iou",
    "Of start and end.",
    "'iou', 'l1', 'center' or a weighted sum such as '0.5*l1+1.0*iou'",
    lambda value: isinstance(value, str) and bool(_SUM.fullmatch(value)),
  ),
  "relevance_weight": real(10.0, "Of the relevance loss in the total.", 0.0),
  "focal_gamma": real(2.0, "Focusing exponent.", 0.0),
  "focal_alpha": _share(0.25, "Weight of positives."),
}

_OPTIMIZER: Section = {
  "name": choice("sgd", "The update.", "adamw"),
  "momentum": _below_1(0.9, "Of sgd; beta1 of adamw."),
  "beta2": _below_1(0.999, "Second-moment decay of adamw."),
  "weight_decay": real(0.0, "Decoupled, of matrices only.", 0.0),
  "clip_norm": real(1.0, "Largest norm of the gradient; 0 = none.", 0.0),
  "rates": several(
    FAST_HEADS,
    "(regular expression, base rate): the first that a parameter's path"
    " matches counts. Every parameter is covered and every pattern used.",
    "a tuple of (regular expression, rate of at least 0)",
    is_pair(is_pattern, lambda rate: is_number(rate) and rate >= 0),
    least=1,
  ),
  "warmup": real(2.5, "Linear warm-up from 0.", 0.0),
  "schedule": choice(
    "constant", "'cosine' falls to 0 at the end.", *("cosine", "steps")
  ),
  "decay": several(
    (),
    "Of schedule 'steps': the rate is multiplied by a factor from a time on.",
    "a tuple of (time, factor), both above 0",
    is_pair(
      lambda at: is_number(at) and at > 0,
      lambda factor: is_number(factor) and factor > 0,
    ),
  ),
  "ema": _below_1(0.0, "Decay of the average that is evaluated; 0 = none."),
}

_TRAIN: Section = {
  "batch_size": whole(64, "Videos of a global batch.", 1),
  "accumulate": whole(
    1,
    "Parts of the batch that a step computes one after another, for less"
    " memory; the same gradient, as every video meets all texts of the batch.",
    1,
  ),
  "unit": choice("epochs", "Of lengths of training.", "steps"),
  "length": _positive(20.0, "Of the run."),
  "cache_frame_tokens": flag(
    False,
    "Tokens of a frozen image tower are computed once per video and kept on"
    " disk under the workdir; not with augmentation.",
  ),
  "max_skipped": whole(10, "Steps without finite loss before a run stops."),
  "num_videos": whole(
    0,
    "Training videos of the official split: epochs can be counted before any"
    " data is there, and a run says when its data is not whole; 0 = unknown.",
  ),
  "num_classes": whole(0, "Official ones, for plans; 0 = unknown."),
}

_INIT: Section = {
  "weights": text(
    "",
    "Folder of weights to start from, as `python -m unloc_jax.weights`, a run"
    " or an export writes it; '' = random.",
  ),
  "take": pattern("(image|text)_(tower|projection)/", "Parameters taken."),
}

_DECODE: Section = {
  "sigma": real(0.3, "Of soft-NMS's Gaussian; 0 = hard NMS at tIoU 0.5.", 0.0),
  "score_threshold": _share(0.001, "Detections below it are dropped."),
  "max_detections": whole(100, "Of one query, or of one video.", 1),
  "switch_cost": real(
    0.0,
    "Of segmentation: log-probability that a change of class costs; the best"
    " sequence of classes is taken, so that few frames flicker.",
    0.0,
  ),
  "class_agnostic": flag(False, "NMS over all classes of a video together."),
}

_EVAL: Section = {
  "batch_size": whole(16, "Rows of a global batch, of max_queries each.", 1),
  "every": real(1.0, "Between evaluations; 0 = only at the end.", 0.0),
  "splits": names(("val",), "Scored at the end; in between only the first."),
  "classes": names(
    (), "Asked for, where not those of training (zero-shot); () = data.classes."
  ),
  "num_drawn": whole(8, "Timelines drawn of each split."),
}

_CHECKPOINT: Section = {
  "every": real(1.0, "Between checkpoints; 0 = only at the end.", 0.0),
  "keep": whole(2, "Latest checkpoints kept, besides the best.", 1),
  "best_metric": choice(
    "R1@0.5",
    "Figure of eval.splits[0] that says which is best, the higher the better.",
    *sorted(
      {name for names in FIGURES.values() for name in names} - {"R1@0.5"}
    ),
  ),
}

_MESH: Section = {
  "data": whole(
    -1,
    "Copies of the model, each with its share of the batch. -1: all devices"
    " that are left, or, where they are more than the videos of a batch, as"
    " many as divide those; fsdp takes the others.",
    1,
    (-1,),
  ),
  "fsdp": whole(1, "Shares of parameters; also splits the batch.", 1, (-1,)),
  "model": whole(1, "Shares of attention heads and MLPs.", 1, (-1,)),
}

_LOG: Section = {
  "every_steps": whole(50, "Steps between logged losses.", 1),
  "profile_steps": Key(
    (),
    "First and last step to profile into the workdir; () = none.",
    "() or (first, last), whole numbers, 1 <= first <= last",
    lambda value: (
      value in ((), [])
      or (is_pair(is_whole, is_whole)(value) and 1 <= value[0] <= value[1])
    ),
  ),
}

SCHEMA: Section = {
  "task": choice(
    "moment_retrieval",
    "What is asked of a video; see unloc_jax.task.tasks.",
    *list(FIGURES)[1:],
  ),
  "seed": whole(0, "Of parameters, shuffling, augmentation and dropout."),
  "streams": names(
    ("frames",),
    "What a video is to the model, by name: 'frames' (JPEG), 'embeddings',"
    " 'sound'; points of the pyramid sit on the first.",
  ),
  "data": _DATA,
  "text": _TEXT,
  "pyramid": _PYRAMID,
  "model": _MODEL,
  "loss": _LOSS,
  "optimizer": _OPTIMIZER,
  "train": _TRAIN,
  "init": _INIT,
  "decode": _DECODE,
  "eval": _EVAL,
  "checkpoint": _CHECKPOINT,
  "mesh": _MESH,
  "log": _LOG,
}


def base() -> ml_collections.ConfigDict:
  """The common recipe of the paper (B/16, moment retrieval, 64 videos)."""
  return section(SCHEMA).lock()


def section(declared: Section) -> ml_collections.ConfigDict:
  """The defaults of a section, unlocked."""
  return ml_collections.ConfigDict(
    {
      name: key.default if isinstance(key, Key) else section(key)
      for name, key in declared.items()
    }
  )


def leaves(
  declared: Section = SCHEMA, above: str = ""
) -> Iterator[tuple[str, Key]]:
  """(path such as "data.rate", key) of all keys of a section."""
  for name, key in declared.items():
    if isinstance(key, Key):
      yield above + name, key
    else:
      yield from leaves(key, f"{above}{name}.")


def flat(values: Any, above: str = "") -> Iterator[tuple[str, Any]]:
  """(path, value) of all that a config, or its JSON, says."""
  for name, value in values.items():
    if isinstance(value, dict | ml_collections.ConfigDict):
      yield from flat(value, f"{above}{name}.")
    else:
      yield above + name, value
