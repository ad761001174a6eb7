"""FLOPs of a traced function, loops counted as often as they run.

Of the whole mesh, as written: what the model needs, whatever the compiler
makes of it. `costs` counts what is compiled.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def count(closed: ClosedJaxpr) -> float:
  """FLOPs of all matrix products and convolutions, 2 per multiply-add."""
  return _count(closed.jaxpr)


def _count(jaxpr: Jaxpr) -> float:
  return math.fsum(_of_equation(eqn) for eqn in jaxpr.eqns)


def _of_equation(eqn: JaxprEqn) -> float:
  name = eqn.primitive.name
  if name in _COUNTERS:
    return _COUNTERS[name](eqn)
  inside = [_count(jaxpr) for jaxpr in _inner(eqn.params)]
  if name == "cond":
    return max(inside, default=0.0)
  total = math.fsum(inside)
  if name == "scan":
    return total * eqn.params["length"]
  if name == "shard_map":
    return total * eqn.params["mesh"].size
  return total


def _inner(params: dict[str, Any]) -> Iterator[Jaxpr]:
  """Jaxprs among the parameters of an equation."""
  for value in params.values():
    for one in value if isinstance(value, (tuple, list)) else (value,):
      if isinstance(one, ClosedJaxpr):
        yield one.jaxpr
      elif isinstance(one, Jaxpr):
        yield one


def _dot_general(eqn: JaxprEqn) -> float:
  (over, _), _ = eqn.params["dimension_numbers"]
  left = _shape(eqn.invars[0])
  return (
    2.0
    * math.prod(_shape(eqn.outvars[0]))
    * math.prod(left[axis] for axis in over)
  )


def _convolution(eqn: JaxprEqn) -> float:
  kernel = _shape(eqn.invars[1])
  out_axis = eqn.params["dimension_numbers"].rhs_spec[0]
  taps = math.prod(kernel) // kernel[out_axis]
  return 2.0 * math.prod(_shape(eqn.outvars[0])) * taps


def _shape(variable: Any) -> tuple[int, ...]:
  return variable.aval.shape


_COUNTERS: dict[str, Callable[[JaxprEqn], float]] = {
  "dot_general": _dot_general,
  "conv_general_dilated": _convolution,
}
