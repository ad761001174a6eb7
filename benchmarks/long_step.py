"""A train step of a real length, attention whole and in blocks.

    python -m benchmarks.long_step [--steps 5]

4 videos of 50 Salads' 576 positions, 17 classes, three layers of width 64 that
fuse every position with every text; the two forms in turn. Prints medians of
processor time, and temporaries.
"""

import argparse
import contextlib

import numpy as np

from benchmarks import clock, train_step
from configs import synthetic_as
from unloc_jax.models import blocks
from unloc_jax.parallel import sharding
from unloc_jax.plan import step_plan, topology

FORMS = {"whole": blocks.plain, "blocks": contextlib.nullcontext}


def main() -> None:
  """Prints a train step's processor time and temporaries, in both forms."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--steps", type=int, default=5)
  steps = parser.parse_args().steps
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
  runs, memory = [], []
  for form in FORMS.values():
    with form():
      lowered = step_plan.lower(config, mesh, devices)
      compiled = step_plan.compile_for(lowered, devices)
    memory.append(compiled.memory_analysis().temp_size_in_bytes / 1e6)
    runs.append(train_step.start(compiled, config, mesh))
  taken = clock.in_turns(runs, steps + 1)[:, 1:, 1]  # The first warms up.
  for name, seconds, most in zip(
    FORMS, np.median(taken, axis=1), memory, strict=True
  ):
    print(
      f"{name}: {seconds:.2f} s of CPU a step, {most:.0f} MB of temporaries"
    )


if __name__ == "__main__":
  main()
