"""One run of the reference implementation, and our model rebuilt from it.

A golden file is an .npz: the reference's configuration (`meta/json`),
parameters, batch, outputs, losses, gradients and detections.
"""

import json
import zipfile
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.reference import from_reference
from unloc_jax.models.fusion import Fusion
from unloc_jax.models.heads import DisplacementHead, RelevanceHead
from unloc_jax.models.towers.clip import ImageTower, TextTower
from unloc_jax.models.unloc import UnLoc
from unloc_jax.task.objective import LossSpec, Targets
from unloc_jax.task.pyramid import PyramidSpec
from unloc_jax.task.tasks import Task, get_task
from unloc_jax.weights.merging import difference

TASK_NAMES = {
  "mr": "moment_retrieval",
  "hd": "highlight_retrieval",
  "tal": "temporal_localization",
  "seg": "action_segmentation",
}

# What the reference's configuration may say, if anything, where our model has
# no choice.
_FIXED: tuple[tuple[str, tuple[Any, ...]], ...] = (
  ("label_smoothing", (None, 0)),
  ("model.video_tower_config.modality_configs", (None,)),
  ("fusion.positional_embedding", ("sinusoid",)),
  ("fusion.positional_embedding_max_length", (None,)),
  ("model.video_text_fusion_config.config.text_tower_classifier", ("eos",)),
  ("head.output_dim", (1,)),
  ("head.kernel_size", (3,)),
  ("head.distance_normalizer", ("relu",)),
  ("head.output_per_class_displacements", (True,)),
  ("pyramid.feature_pyramid_downsample_stride", (2,)),
  ("pyramid.normalize_displacements_by_downsample_stride", (True,)),
  ("dataset_configs.displacement_normalizer", ("none",)),
)

# The reference's names of displacement losses that differ from ours.
_LOSS_NAMES = {"center_offset_squared": "center"}


_REQUIRED = object()


def lookup(config: Mapping[str, Any], path: str, default: Any) -> Any:
  """config["a"]["b"] for "a.b"; `default` where there is no such entry."""
  value: Any = config
  for key in path.split("."):
    if not isinstance(value, Mapping) or key not in value:
      return default
    value = value[key]
  return value


class Golden:
  """A golden file.

  Attributes:
    arrays: Everything in the file.
    config: The reference's configuration.
    task: Ours.
    params: Flat parameters under our names.
    spec: Pyramid geometry.
    model: Our model.
    batch: What the model takes.
    loss: Kinds and weights of the losses.

  Raises:
    ValueError: It is not a golden file, or our model cannot be what it says.
  """

  def __init__(self, path: str):
    self.arrays, meta = _read(path)
    self.config = meta["config"]
    task = lookup(meta, "flags.task", None)
    if task not in TASK_NAMES:
      raise ValueError(
        f"{path}: task {task!r} is not one of {', '.join(TASK_NAMES)}"
      )
    self.task: Task = get_task(TASK_NAMES[task])
    self._check(path)
    self.spec = self._pyramid()
    self.params = self._params()
    self.model = self._model()
    self.batch = self._batch()
    self._check_params(path)
    self.loss = self._loss()

  def under(self, prefix: str) -> dict[str, np.ndarray]:
    """Arrays whose name starts with `prefix`, without it."""
    return {
      name[len(prefix) :]: value
      for name, value in self.arrays.items()
      if name.startswith(prefix)
    }

  def get(self, path: str, default: Any = _REQUIRED) -> Any:
    """A value of the configuration, as of `lookup`; `default` is theirs.

    Paths may start with `fusion` (the fusion's encoder), `head` or `pyramid`.

    Raises:
      KeyError: There is no such value, and no default.
    """
    model = self.config["model"]
    heads = list(lookup(model, "head_config", {}).values())
    named = {
      "fusion": lookup(
        model,
        "video_text_fusion_config.config.self_attention_encoder_config",
        {},
      ),
      "head": lookup(heads[0], "config", {}) if heads else {},
      "pyramid": lookup(
        self.config, "dataset_configs.feature_pyramid_config", {}
      ),
    }
    value = lookup({**self.config, **named}, path, default)
    if value is _REQUIRED:
      raise KeyError(f"its configuration has no {path}")
    return value

  @property
  def variables(self) -> dict[str, Any]:
    """The parameters as `model.apply` takes them."""
    return {"params": flax.traverse_util.unflatten_dict(self.params, sep="/")}

  @property
  def random_training(self) -> bool:
    """Whether a training step draws random numbers, which cannot be redrawn."""
    tower = "model.video_tower_config.encoder_config.image_encoder_config"
    rates = (
      self.get("fusion.dropout_rate", 0.1),
      self.get("fusion.attention_dropout_rate", 0.1),
      self.get("fusion.stochastic_depth", 0.0),
      self.get(f"{tower}.stochastic_depth", 0.0),
    )
    return any(rate > 0 for rate in rates)

  def _check(self, path: str) -> None:
    for name, allowed in _FIXED:
      value = self.get(name, allowed[0])
      if value not in allowed:
        raise ValueError(
          f"{path}: {name} = {value!r} is not in our model, which has "
          f"{' or '.join(map(repr, allowed))}"
        )
    threshold = self.get("iou_threshold", 0.5)
    if self.get("soft_nms_sigma", 0.3) == 0 and threshold != 0.5:
      raise ValueError(f"{path}: hard NMS at tIoU {threshold}, ours is at 0.5")

  def _check_params(self, path: str) -> None:
    shapes = jax.eval_shape(
      lambda key: self.model.init(
        key, self.batch["frames"], self.batch["frame_mask"], self.batch["texts"]
      ),
      jax.random.key(0),
    )
    wanted = flax.traverse_util.flatten_dict(shapes["params"], sep="/")
    lines = difference(self.params, wanted)
    if lines:
      raise ValueError(
        f"{path}: the parameters do not fit the model of its configuration:"
        + "".join(f"\n  {line}" for line in lines)
      )

  def _pyramid(self) -> PyramidSpec:
    ranges = self.get("pyramid.regression_ranges", [(0, float("inf"))])
    radius = self.get("dataset_configs.radius", None)
    return PyramidSpec(
      num_frames=self.config["dataset_configs"]["num_frames"],
      ranges=tuple((float(low), float(high)) for low, high in ranges),
      radius=float("inf") if radius is None else radius,
    )

  def _params(self) -> dict[str, np.ndarray]:
    """Ours; a projection that the reference does without is the identity."""
    params = from_reference(self.under("params/"))
    outputs = self.under("out/")
    for tower, name, tokens in (
      ("", "image_projection/kernel", "video_tokens"),
      ("text_tower/", "text_projection/kernel", "text_tokens"),
    ):
      if name not in params and any(k.startswith(tower) for k in params):
        width = outputs[tokens].shape[-1]
        params[name] = np.eye(width, dtype=np.float32)
    return params

  def _model(self) -> UnLoc:
    fusion = "model.video_text_fusion_config.config"
    heads = {
      "num_layers": self.get("head.num_conv_layers", 0),
      "shared_across_levels": self.get(
        "head.weight_sharing", not self.task.has_displacement
      ),
      "bias": 0.0,
    }
    return UnLoc(
      image_tower=self._image_tower(),
      text_tower=self._text_tower(),
      fusion=Fusion(
        kind=self.get(f"{fusion}.self_attention_encoder_name", "transformer"),
        num_levels=self.spec.num_levels,
        num_layers=self.get("fusion.num_layers"),
        num_heads=self.get("fusion.num_heads"),
        mlp_dim=self.get("fusion.mlp_dim"),
        downsampling=self.get("fusion.downsample_strategy", "max_pool"),
      ),
      relevance_head=RelevanceHead(**heads),
      displacement_head=DisplacementHead(**heads)
      if self.task.has_displacement
      else None,
      width=self.params["image_projection/kernel"].shape[-1],
      freeze_image=self.get("model.video_tower_config.freeze", False),
      freeze_text=self.get("model.text_tower_config.freeze", False),
      text_part="all"
      if self.get(f"{fusion}.use_all_text_tokens", False)
      else "eos",
      readout=self.task.readout,
    )

  def _image_tower(self) -> ImageTower | None:
    if not any(name.startswith("image_tower/") for name in self.params):
      return None
    tower = "model.video_tower_config.encoder_config.image_encoder_config"
    classifier = self.get(f"{tower}.classifier", "token")
    return ImageTower(
      patch=self.get(f"{tower}.patches.size")[0],
      width=self.get(f"{tower}.features"),
      num_layers=self.get(f"{tower}.num_layers"),
      num_heads=self.get(f"{tower}.num_heads"),
      classifier="token" if classifier == "token" else "gap",
    )

  def _text_tower(self) -> TextTower | None:
    if not any(name.startswith("text_tower/") for name in self.params):
      return None
    tower = "model.text_tower_config.encoder_config"
    return TextTower(
      vocab_size=self.get(f"{tower}.vocab_size"),
      max_tokens=self.params["text_tower/position_embedding"].shape[0],
      width=self.get(f"{tower}.hidden_size"),
      num_layers=self.get(f"{tower}.num_layers"),
      num_heads=self.get(f"{tower}.num_heads"),
    )

  def _batch(self) -> dict[str, jax.Array]:
    inputs = self.under("batch/inputs/")
    frames = inputs[self.get("model.video_tower_config.input_key", "rgb")]
    num_videos, num_frames = frames.shape[0], self.spec.num_frames
    points = inputs.get("input_mask", np.ones((num_videos, num_frames)))
    exists = self.arrays.get("batch/batch_mask", np.ones(num_videos))
    batch = {
      "frames": frames,
      "frame_mask": points[:, :num_frames].astype(bool),
      "example_mask": exists.astype(bool),
      "texts": self._texts(inputs),
    }
    if self.task.texts == "captions":
      mask = inputs.get("caption_mask", np.ones((num_videos, 1)))
      batch["query_mask"] = mask.astype(bool)
    return {name: jnp.asarray(value) for name, value in batch.items()}

  def _texts(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """int32 ids or float32 embeddings as the model takes them."""
    if self.task.texts == "classes":
      if "class_names" in inputs:
        return inputs["class_names"][0]
      return inputs["class_names/input_word_ids"][0]
    key = "caption"
    if self.task.train_pairing == "matched":
      key = self.get("model.text_tower_config.input_key", "video_title")
    ids = inputs[f"{key}/input_word_ids"]
    if self.task.train_pairing == "matched":
      return ids.reshape(ids.shape[0], -1, ids.shape[-1])
    return ids.reshape(-1, ids.shape[-1])

  def _loss(self) -> LossSpec:
    if not self.task.has_displacement:
      return LossSpec(relevance="sigmoid", relevance_weight=1.0)
    terms = []
    for term in self.get("box_loss_type", "l1+iou").split("+"):
      weight, star, name = term.rpartition("*")
      terms.append(weight + star + _LOSS_NAMES.get(name, name))
    return LossSpec(
      relevance=self.get("classification_loss_type", "sigmoid"),
      displacement="+".join(terms),
      relevance_weight=self.get("classification_loss_alpha", 1.0),
      focal_gamma=self.get("focal_loss_gamma", 2.0),
      focal_alpha=self.get("focal_loss_alpha", 0.5),
    )

  def targets(self) -> Targets:
    """The file's own targets in our layout."""
    label = jnp.asarray(self.arrays["batch/label"].astype(bool))
    mask = self.spec.point_mask(self.batch["frame_mask"])[:, None]
    mask &= self.batch["example_mask"][:, None, None]
    if not self.task.has_displacement:
      return Targets(jnp.swapaxes(label, 1, 2), mask)
    distance = jnp.asarray(self.arrays["batch/displacements"])
    if self.task.train_pairing == "all" and self.task.texts == "captions":
      return self._pair_targets(label[..., 0], mask, distance)
    labels = jnp.swapaxes(label, 1, 2)
    return Targets(labels, mask, labels & mask, jnp.swapaxes(distance, 1, 2))

  def _pair_targets(self, own, mask, distance) -> Targets:
    """Targets of every video with the captions of all videos.

    The reference weighs a pair by the frames of the *caption's* video, where
    the paper (and our training) counts the frames of the video itself. They
    differ only on padded videos; the file's losses are of the former.
    """
    num_videos, _, num_points = own.shape
    shown = mask & self.batch["query_mask"][:, :, None]  # [B, Qv, P]
    same = jnp.eye(num_videos, dtype=bool)[:, :, None, None]
    labels = (own[:, None] & same).reshape(num_videos, -1, num_points)
    slots = shown.reshape(1, -1, num_points)
    slots = slots & self.batch["example_mask"][:, None, None]
    return Targets(labels, slots, own & shown, distance)

  def pairs(self) -> jax.Array | None:
    """Texts whose displacement the reference's loss reads: own, or all."""
    if self.task.texts == "classes" or self.task.train_pairing == "matched":
      return None
    shape = self.batch["query_mask"].shape
    return jnp.arange(np.prod(shape), dtype=jnp.int32).reshape(shape)


def _read(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """The arrays of a golden file, and what it says of itself."""
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays["meta/json"]))
    if not isinstance(lookup(meta, "config.model", None), dict):
      raise KeyError("meta/json")
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
    reason = str(error).split("\n")[0]
    raise ValueError(f"{path} is not a golden file: {reason}") from error
  return arrays, meta
