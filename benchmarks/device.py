"""What this device makes of the project: one table to paste into an issue.

  python -m benchmarks.device [--record]

Attention of all kernels that the platform has, beside plain float32 on the CPU;
a train step of configs/anet_mr.py:B and its plan; frames a second; prediction.
On a CPU it is of 2 layers, one level, 16 frames and 32 pixels.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from benchmarks import attention, record, train_step
from benchmarks import input as reading
from unloc_jax.config.keys import INF
from unloc_jax.data.batch import batch_spec
from unloc_jax.models import kernels
from unloc_jax.models.unloc import Predictions, UnLoc
from unloc_jax.parallel import sharding
from unloc_jax.parallel.compilation_cache import keep_programs
from unloc_jax.plan import printing, step_plan, topology
from unloc_jax.training.speed import peak_flops
from unloc_jax.training.state import Parts, init_params, nest

Row = tuple[str, str, str]
# Largest error that is allowed, as a share of the largest value; accelerators
# make float32 products of shorter numbers, a CPU does not.
_LIMITS = {"float32": 1e-2, "bfloat16": 3e-2}
_ON_CPU = 2e-5
_VIDEOS, _LARGE = (4, 8), 40e9  # A device larger than this takes 8.


def parity(small: bool) -> Iterator[Row]:
  """Values and gradients of attention, of 513 positions, beside the CPU's."""
  platform = jax.default_backend().replace("cuda", "gpu")
  forms: dict[str, Callable[..., Any]] = dict(attention.FORMS)
  if library := kernels.KERNELS.get(platform):
    forms[f"{platform} library"] = lambda *x: kernels.attend(library, *x, None)
  shape = (2, 129 if small else 513, 8, 64)
  rng = np.random.default_rng(0)
  parts = rng.standard_normal((3, *shape), np.float32) / 8

  def run(form: Callable[..., Any], dtype: str) -> list[np.ndarray]:
    def total(*x: jax.Array) -> tuple[jax.Array, jax.Array]:
      out = form(*x).astype(jnp.float32)
      return jnp.sum(jnp.sin(8 * out)), out

    given = [jnp.asarray(x, dtype) for x in parts]
    both = jax.jit(jax.grad(total, (0, 1, 2), has_aux=True))(*given)
    return [np.asarray(x, np.float32) for x in jax.tree.leaves(both)]

  with jax.default_device(jax.local_devices(backend="cpu")[0]):
    wanted = run(attention.whole, "float32")
  for dtype, limit in _LIMITS.items():
    limit = _ON_CPU if (platform, dtype) == ("cpu", "float32") else limit
    for name, form in forms.items():
      if "library" in name and dtype == "float32":
        continue  # It is taken for bfloat16 alone.
      error = max(
        float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        for ours, theirs in zip(run(form, dtype), wanted, strict=True)
      )
      said = "" if error <= limit else ": WRONG"
      yield (f"attention, {name}, {dtype}", f"{error:.1e}{said}", f"{limit:g}")


def work(small: bool, memory: int) -> ml_collections.ConfigDict:
  """The config, of as many videos as the devices have room for."""
  from configs import anet_mr

  c = anet_mr.get_config("B").copy_and_resolve_references().unlock()
  each = 1 if small else _VIDEOS[memory > _LARGE]
  c.train.batch_size = c.eval.batch_size = each * jax.device_count()
  if small:
    c.data.num_frames, c.data.image_size, c.data.max_queries = 16, 32, 2
    c.model.text_tower.vocab_size, c.model.head.num_layers = 64, 1
    c.pyramid.ranges = ((0, INF),)
    for part in (c.model.image_tower, c.model.text_tower, c.model.fusion):
      part.num_layers = 2
  return c.lock()


def step(config: ml_collections.ConfigDict, devices: Any) -> Iterator[Row]:
  """A train step beside its plan."""
  plan = step_plan.plan_step("anet_mr:B", config, devices)
  mesh = sharding.run_mesh(config, devices.devices)
  lowered = step_plan.lower(config, mesh, devices)
  compiled = step_plan.compile_for(lowered, devices)
  seconds = train_step.best(train_step.start(compiled, config, mesh))
  dtype, best = plan.config["dtype"], plan.roofline
  peak = peak_flops(dtype) * mesh.size
  name = f"train step, {config.train.batch_size} videos, {dtype}"
  yield (name, f"{seconds:.3g} s", f"{best.seconds:.3g} s" if best else "")
  mfu = f"{plan.model_flops / seconds / peak:.1%}" if peak else "peak not known"
  yield ("MFU", mfu, f"{best.mfu:.1%}" if best else "")
  stats = devices.devices[0].memory_stats() or {}
  held = printing.gib(stats["peak_bytes_in_use"]) if stats else ""
  yield ("memory", held, printing.gib(plan.needed_bytes))


def frames(small: bool) -> Row:
  """Frames a second from records to batches."""
  bare, ours = reading.measure(*(reading.FEW if small else reading.MANY))
  return ("input", f"{ours[0]:.0f} frames/s", f"{bare[0]:.0f} (bare libjpeg)")


def latency(config: ml_collections.ConfigDict) -> Iterator[Row]:
  """A video encoded, and one text asked of it."""
  parts = Parts.from_config(config)
  params = nest(jax.jit(lambda k: init_params(parts, k))(jax.random.key(0)))
  batch = jax.tree.map(
    lambda x: jnp.ones(x.shape, x.dtype), batch_spec(config, 1)
  )
  ids = jnp.ones((1, config.data.max_tokens), jnp.int32)

  def encode(model: UnLoc) -> tuple[jax.Array, jax.Array]:
    tokens = model.encode_video(batch["streams"])
    return tokens, model.video_mask(batch["masks"])

  def ask(model: UnLoc, video: jax.Array, mask: jax.Array) -> Predictions:
    return model.localize(video, mask, model.encode_text(ids))

  video: tuple[jax.Array, ...] = ()
  for name, method in (("encode a video", encode), ("ask one text", ask)):
    program = jax.jit(lambda p, v, m=method: parts.model.apply(p, *v, method=m))
    seconds = train_step.best(program, params, video)
    video = video or program(params, ())
    yield (f"prediction: {name}", f"{seconds * 1e3:.3g} ms", "")


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--record", action="store_true", help="keep the table")
  args = parser.parse_args()
  keep_programs()
  kind = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
  header = ("what", kind, "limit, plan or bare")
  small = jax.default_backend() == "cpu"
  devices = topology.open_topology("local")
  config = work(small, devices.memory)
  found = [*parity(small), *step(config, devices), frames(small)]
  found += latency(config)
  print(f"{record.markdown(header, found)}\n\n{record.machine()}")
  if args.record:
    command, code = "python -m benchmarks.device --record", "unloc_jax/models"
    record.write("device", command, [code], header, found)


if __name__ == "__main__":
  main()
