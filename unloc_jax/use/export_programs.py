"""A model as programs that need none of this package: StableHLO, SavedModel.

  encode_video(params, frames [B, T, H, W, 3] uint8) -> tokens [B, T, D]
  find_moments(params, tokens [B, T, D], frame_mask [B, T] bool,
               texts [Q, L] int32, steps [B], durations [B])
    -> {"scores" [B, Q, K], "segments" [B, Q, K, 2] in seconds,
        "relevance" [B, Q, T]}

B and Q are any; all other sizes are the model's; the rest is in `_README`.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from unloc_jax import files
from unloc_jax.data.batch import row_spec
from unloc_jax.models.unloc import UnLoc
from unloc_jax.task import detections
from unloc_jax.task.predictions import Predictions
from unloc_jax.training.state import Parts, nest
from unloc_jax.use.exports import Export
from unloc_jax.weights.folder import load_weights

_PLATFORMS = ("cpu", "cuda", "tpu")


class Program(NamedTuple):
  """A pure function of (params, *arguments), and what it takes."""

  function: Callable[..., Any]
  arguments: dict[str, jax.ShapeDtypeStruct]  # Sizes "b" and "q" are open.
  params: dict[str, np.ndarray]  # By path, layers apart.


def make(export: Export) -> dict[str, Program]:
  """The programs of an export; ValueError where it finds no moments."""
  config = export.config.copy_and_resolve_references().unlock()
  # One layer after another, as the file of weights has them.
  config.model.scan_layers = False
  config.model.fusion.query_chunk = 0
  parts = Parts.from_config(config)
  takes = "sentences" if config.text.sentence_width else parts.task.name
  takes = "features of texts" if config.data.text_width else takes
  if parts.task.decode != "per_query" or takes != parts.task.name:
    raise ValueError(
      f"the model is of {takes}; programs are made of models that find "
      "moments of token ids, leave out --stablehlo and --saved_model"
    )
  params = load_weights(str(export.folder)).params
  encoders = tuple(f"{encoder.sense}_" for encoder in parts.model.encoders)
  of_video = {k: v for k, v in params.items() if k.startswith(encoders)}
  rest = {k: v for k, v in params.items() if k not in of_video}
  shape, width = jax.ShapeDtypeStruct, config.model.width
  b, q = jax_export.symbolic_shape("b, q")
  rows = row_spec(config)
  streams = {
    k: shape((b, *x.shape), x.dtype) for k, x in rows["streams"].items()
  }
  # Of several streams, tokens follow each other.
  count = sum(len(mask) for mask in rows["masks"].values())
  if config.model.text_tower.num_layers:
    texts = shape((q, config.data.max_tokens), jnp.int32)
  else:
    texts = shape((q, width), jnp.float32)
  arguments = {
    "tokens": shape((b, count, width), jnp.float32),
    "frame_mask": shape((b, count), jnp.bool_),
    "texts": texts,
    "steps": shape((b,), jnp.float32),
    "durations": shape((b,), jnp.float32),
  }
  encode = functools.partial(_encode_video, parts)
  find = functools.partial(_find_moments, parts)
  return {
    "encode_video": Program(encode, streams, of_video),
    "find_moments": Program(find, arguments, rest),
  }


def _encode_video(
  parts: Parts, params: Mapping[str, Any], *rows: jax.Array
) -> jax.Array:
  tokens: Any = parts.model.apply(
    nest(params),
    dict(zip(parts.config.streams, rows, strict=True)),
    method=UnLoc.encode_video,
  )
  return jnp.asarray(tokens, jnp.float32)


def _find_moments(
  parts: Parts,
  params: Mapping[str, Any],
  tokens: jax.Array,
  frame_mask: jax.Array,
  texts: jax.Array,
  steps: jax.Array,
  durations: jax.Array,
) -> dict[str, jax.Array]:
  def run(model: UnLoc) -> Predictions:
    video = tokens.astype(model.dtype)
    return model.localize(video, frame_mask, model.encode_text(texts))

  said: Any = parts.model.apply(nest(params), method=run)
  options = {**parts.config.decode.to_dict(), "class_agnostic": False}
  found = detections.detect(
    *(parts.task, parts.pyramid, detections.DecodeSpec(**options), said),
    *(frame_mask[:, : parts.pyramid.num_frames], steps, durations),
  )
  names = {"scores": "scores", "segments": "segments", "relevance": "curve"}
  return {name: getattr(found, field) for name, field in names.items()}


def write_stablehlo(folder: pathlib.Path, programs: dict[str, Program]) -> None:
  """Writes a NAME.bin each, signatures.json and README.md."""
  signatures = {}
  for name, program in programs.items():
    lower = jax_export.export(jax.jit(program.function), platforms=_PLATFORMS)
    made = lower(program.params, *program.arguments.values())
    files.write_bytes(folder / f"{name}.bin", bytes(made.serialize()))
    arguments = {
      argument: {
        "shape": [n if isinstance(n, int) else str(n) for n in wanted.shape],
        "dtype": wanted.dtype.name,
      }
      for argument, wanted in program.arguments.items()
    }
    names = sorted(program.params)
    signatures[name] = {"params": names, "arguments": arguments}
  files.write_json(folder / "signatures.json", signatures)
  files.write_text(folder / "README.md", _README)


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

  module, signatures = tf.Module(), {}
  for name, program in programs.items():
    params = {k: tf.Variable(v) for k, v in program.params.items()}
    signatures[name] = _tf_function(program, params)
    # Kept by the module, else they are not saved.
    setattr(module, f"{name}_params", list(params.values()))
    setattr(module, name, signatures[name])
  tf.saved_model.save(module, str(folder), signatures=signatures)


def _tf_function(program: Program, params: dict[str, Any]) -> Any:
  """A program as a tf.function of its arguments."""
  import tensorflow as tf
  from jax.experimental import jax2tf

  shapes, specs = [], []
  for name, wanted in program.arguments.items():
    shapes.append(f"({', '.join(map(str, wanted.shape))},)")
    sizes = [n if isinstance(n, int) else None for n in wanted.shape]
    dtype = tf.as_dtype(wanted.dtype.name)
    specs.append(tf.TensorSpec(sizes, dtype, name=name))
  run = jax2tf.convert(
    program.function, polymorphic_shapes=[None, *shapes], with_gradient=False
  )

  @tf.function(input_signature=specs, autograph=False)
  def call(*arguments: Any) -> Any:
    made = run(params, *arguments)
    return made if isinstance(made, dict) else {"tokens": made}

  return call
