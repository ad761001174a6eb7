"""A train step of a real length, attention whole and in blocks.

    python -m benchmarks.long_step [--steps 5]

4 videos of 50 Salads' 576 positions, 17 classes, three layers of width 64 that
fuse every position with every text; the two forms in turn. Prints medians of
processor time, and temporaries.
"""

import argparse
import contextlib
import statistics
import time

from benchmarks import train_step
from configs import synthetic_as
from unloc_jax.models import blocks
from unloc_jax.parallel import sharding
from unloc_jax.plan import step_plan, topology

FORMS = ("whole", "blocks")


def measure(steps: int) -> None:
  """Prints a train step's processor time and temporaries, in both forms."""
  c = synthetic_as.get_config().copy_and_resolve_references().unlock()
  c.streams, c.data.embedding_width = ("embeddings",), 28
  c.data.num_frames, c.data.max_segments = 576, 64
  c.train.num_classes, c.train.batch_size = 17, 4
  c.train.cache_frame_tokens = False
  c.model.image_tower.num_layers, c.model.stem.num_layers = 0, 0
  c.model.fusion.product, c.model.fusion.num_layers = False, 3
  config = c.lock()
  devices = topology.open_topology("local")
  mesh = sharding.run_mesh(config, devices.devices)
  runs, memory = {}, {}
  for form in FORMS:
    with blocks.plain() if form == "whole" else contextlib.nullcontext():
      lowered = step_plan.lower(config, mesh, devices)
      compiled = step_plan.compile_for(lowered, devices)
    memory[form] = compiled.memory_analysis().temp_size_in_bytes / 1e6
    runs[form] = train_step.start(compiled, config, mesh)
    runs[form]()
  taken: dict[str, list[float]] = {form: [] for form in FORMS}
  for _ in range(steps):
    for form, run in runs.items():
      started = time.process_time()
      run()
      taken[form].append(time.process_time() - started)
  for form in FORMS:
    print(
      f"{form}: {statistics.median(taken[form]):.2f} s of CPU a step, "
      f"{memory[form]:.0f} MB of temporaries"
    )


def main() -> None:
  """Prints both."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--steps", type=int, default=5)
  measure(parser.parse_args().steps)


if __name__ == "__main__":
  main()
