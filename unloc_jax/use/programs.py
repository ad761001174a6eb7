"""A model as programs that need none of this package: StableHLO, SavedModel.

Two programs, their weights handed in by name:

  encode_video(params, frames [B, T, H, W, 3] uint8) -> tokens [B, T, D]
  find_moments(params, tokens [B, T, D], frame_mask [B, T] bool,
               texts [Q, L] int32, steps [B], durations [B])
    -> {"scores" [B, Q, K], "segments" [B, Q, K, 2] in seconds,
        "relevance" [B, Q, T]}

B and Q are any; T, H, W, L and D are the model's. `steps` are the seconds
between two sampled frames, `durations` the seconds of the videos.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from unloc_jax.models.unloc import UnLoc
from unloc_jax.task import detections
from unloc_jax.training.state import Parts, nest
from unloc_jax.use.exported import Export
from unloc_jax.weights import folder as weights

_PLATFORMS = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True)
class Program:
  """A pure function and what it takes.

  Attributes:
    function: Of (params, *arguments).
    arguments: {name: (shape, dtype)}; "b" and "q" are sizes left open.
    params: {path: float32 array}, layers apart.
  """

  function: Callable[..., Any]
  arguments: dict[str, tuple[tuple[int | str, ...], Any]]
  params: dict[str, np.ndarray]


def make(export: Export) -> dict[str, Program]:
  """The programs of an exported model.

  Raises:
    ValueError: Its task finds no moments.
  """
  config = export.config.copy_and_resolve_references().unlock()
  # One layer after another, as the file of weights has them.
  config.model.scan_layers = False
  config.model.fusion.query_chunk = 0
  parts = Parts.from_config(config)
  if parts.task.decode != "per_query":
    raise ValueError(
      f"the model's task is {parts.task.name}; programs are made of models "
      "that find moments, leave out --stablehlo and --saved_model"
    )
  params = weights.load(str(export.folder)).params
  data, model = config.data, config.model
  frames: tuple[Any, ...] = (
    "b",
    data.num_frames,
    data.image_size,
    data.image_size,
    3,
  )
  inputs: Any = jnp.uint8
  if data.inputs == "embeddings":
    frames = ("b", data.num_frames, data.embedding_width)
    inputs = jnp.float32
  texts: tuple[tuple[Any, ...], Any] = (("q", data.max_tokens), jnp.int32)
  if not model.text_tower.num_layers:
    texts = ("q", model.width), jnp.float32
  encode = Program(
    _encoder(parts), {"frames": (frames, inputs)}, _part(params, "image_")
  )
  find = Program(
    _finder(parts),
    {
      "tokens": (("b", data.num_frames, model.width), jnp.float32),
      "frame_mask": (("b", data.num_frames), jnp.bool_),
      "texts": texts,
      "steps": (("b",), jnp.float32),
      "durations": (("b",), jnp.float32),
    },
    {k: v for k, v in params.items() if k not in _part(params, "image_")},
  )
  return {"encode_video": encode, "find_moments": find}


def _part(params, prefix):
  return {k: v for k, v in params.items() if k.startswith(prefix)}


def _encoder(parts: Parts) -> Callable[..., jax.Array]:
  def encode_video(params, frames):
    tokens: Any = parts.model.apply(
      nest(params), frames, method=UnLoc.encode_video
    )
    return tokens.astype(jnp.float32)

  return encode_video


def _finder(parts: Parts) -> Callable[..., dict[str, jax.Array]]:
  options = detections.DecodeSpec(**parts.config.decode.to_dict())

  def find_moments(params, tokens, frame_mask, texts, steps, durations):
    def run(model: UnLoc):
      video = tokens.astype(model.dtype)
      return model.localize(video, frame_mask, model.encode_text(texts))

    predictions: Any = parts.model.apply(nest(params), method=run)
    found = detections.detect(
      parts.task,
      parts.pyramid,
      dataclasses.replace(options, class_agnostic=False),
      predictions,
      frame_mask,
      steps,
      durations,
    )
    return {
      "scores": found.scores,
      "segments": found.segments,
      "relevance": found.curve,
    }

  return find_moments


def lower(program: Program) -> jax_export.Exported:
  """A program for all platforms, its open sizes symbolic."""
  scope = jax_export.SymbolicScope()
  shapes = [
    jax.ShapeDtypeStruct(
      jax_export.symbolic_shape(", ".join(map(str, shape)), scope=scope)
      if len(shape) > 1
      else jax_export.symbolic_shape(f"{shape[0]},", scope=scope),
      dtype,
    )
    for shape, dtype in program.arguments.values()
  ]
  params = {
    name: jax.ShapeDtypeStruct(value.shape, value.dtype)
    for name, value in program.params.items()
  }
  function = jax.jit(program.function)
  return jax_export.export(function, platforms=_PLATFORMS)(params, *shapes)


def write_stablehlo(folder: pathlib.Path, programs: dict[str, Program]) -> None:
  """Writes NAME.bin of every program, and signatures.json."""
  folder.mkdir(parents=True)
  signatures = {}
  for name, program in programs.items():
    (folder / f"{name}.bin").write_bytes(lower(program).serialize())
    signatures[name] = {
      "params": sorted(program.params),
      "arguments": {
        argument: {"shape": list(shape), "dtype": jnp.dtype(dtype).name}
        for argument, (shape, dtype) in program.arguments.items()
      },
    }
  (folder / "signatures.json").write_text(json.dumps(signatures, indent=2))
  (folder / "README.md").write_text(_README)


_README = """\
# Programs

Two programs in StableHLO, which JAX runs without the code of the model:

```python
import json, jax, safetensors.numpy

signatures = json.load(open("signatures.json"))
weights = safetensors.numpy.load_file("../params.safetensors")

def load(name):
  program = jax.export.deserialize(open(f"{name}.bin", "rb").read())
  params = {k: weights[k] for k in signatures[name]["params"]}
  return lambda *arguments: program.call(params, *arguments)

tokens = load("encode_video")(frames)
found = load("find_moments")(tokens, frame_mask, texts, steps, durations)
```

Shapes and types are in signatures.json; sizes named b (videos) and q (texts)
are free. `texts` are CLIP's token ids, `steps` the seconds between two frames
of a video, `durations` its seconds.
"""


def write_saved_model(
  folder: pathlib.Path, programs: dict[str, Program]
) -> None:
  """Writes a SavedModel whose signatures are the programs."""
  import tensorflow as tf
  from jax.experimental import jax2tf

  module = tf.Module()
  signatures = {}
  for name, program in programs.items():
    params = {k: tf.Variable(v) for k, v in program.params.items()}
    # Kept by the module, else they are not saved.
    setattr(module, f"{name}_params", list(params.values()))
    signatures[name] = _tf_function(tf, jax2tf, program, params)
    setattr(module, name, signatures[name])
  tf.saved_model.save(module, str(folder), signatures=signatures)


def _tf_function(tf, jax2tf, program, params):
  shapes = [
    "(" + ", ".join(map(str, shape)) + ",)"
    for shape, _ in program.arguments.values()
  ]
  run = jax2tf.convert(
    program.function, polymorphic_shapes=[None, *shapes], with_gradient=False
  )
  specs = [
    tf.TensorSpec(
      [None if isinstance(n, str) else n for n in shape],
      tf.as_dtype(jnp.dtype(dtype).name),
      name=name,
    )
    for name, (shape, dtype) in program.arguments.items()
  ]

  @tf.function(input_signature=specs, autograph=False)
  def call(*arguments):
    made = run(params, *arguments)
    return made if isinstance(made, dict) else {"tokens": made}

  return call
