"""What a run left behind."""

import pathlib

import numpy as np
from tensorflow.python.summary import summary_iterator

from unloc_jax.weights.folder import load_weights


def logged(workdir: pathlib.Path) -> dict[str, dict[int, float]]:
  """{name: {step: value}} of a run's event files; the latest counts."""
  values: dict[str, dict[int, float]] = {}
  for path in sorted(workdir.glob("events.out.tfevents.*")):
    for event in summary_iterator.summary_iterator(str(path)):
      for value in event.summary.value:
        number = np.frombuffer(value.tensor.tensor_content, np.float32)
        if number.size == 0:
          number = np.asarray(value.tensor.float_val, np.float32)
        if number.size == 1:
          values.setdefault(value.tag, {})[event.step] = float(number[0])
  return values


def losses(workdir: pathlib.Path) -> dict[str, dict[int, float]]:
  return {k: v for k, v in logged(workdir).items() if k.startswith("loss/")}


def final_params(workdir: pathlib.Path) -> dict[str, np.ndarray]:
  return load_weights(str(workdir / "weights")).params


def assert_same_run(one: pathlib.Path, other: pathlib.Path) -> None:
  """Bit-identical parameters and the same logged losses."""
  assert losses(one) == losses(other)
  first, second = final_params(one), final_params(other)
  assert first.keys() == second.keys()
  for name in first:
    np.testing.assert_array_equal(first[name], second[name], err_msg=name)
