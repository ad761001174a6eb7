"""`v5e:16x16` -> devices that programs can be compiled for but not run on."""

import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from unloc_jax.costs.chips import CHIPS, Chip, chip_of_kind

GPUS_PER_HOST = 8

# Slices that there are.
_TORUS_2D = "1x1 2x2 2x4 4x4 4x8 8x8 8x16 16x16"
_TORUS_3D = "2x2x1 2x2x2 2x2x4 2x4x4 4x4x4 4x4x8 4x8x8 8x8x8 8x8x16 8x16x16"
SLICES = {
  "v4": _TORUS_3D.split(),
  "v5e": _TORUS_2D.split(),
  "v5p": _TORUS_3D.split(),
  "v6e": _TORUS_2D.split(),
}
# What a description has to say besides: a chip of v4 is one device, whose two
# cores work as one; a host has four chips unless it is one chip by itself.
_MEGACORE = {"v4": {"chip_config_name": "megacore"}}
_ALONE = {"1x1": {"chips_per_host_bounds": (1, 1, 1)}}
_LIBRARIES = {"tpu": "libtpu", "cuda": "jax_cuda12_plugin"}

# Otherwise libtpu asks the network what machine this is, and for minutes.
_QUIET = {
  "TPU_SKIP_MDS_QUERY": "1",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_WORKER_ID": "0",
}


@dataclasses.dataclass(frozen=True)
class Topology:
  """Devices to plan for."""

  name: str
  platform: str  # "tpu", "cuda", or what JAX runs on
  devices: Sequence[Any]  # Compile-only, or those of this machine
  chip: Chip | None  # None where its figures are not known
  memory: int  # Capacity of a device, bytes
  local: bool = False  # Whether the devices are there


def check_name(name: str) -> None:
  """Checks, before JAX is imported, a topology's name and compiler."""
  if name == "local":
    return
  kind, _, shape = name.partition(":")
  if kind not in CHIPS:
    known = [f"{kind}:{slices[-3]}" for kind, slices in SLICES.items()]
    raise ValueError(
      f"--topology {name!r} is not known; give {', '.join(known)}, h100:8, "
      "h100:16 (or other sizes), local"
    )
  if kind in SLICES and shape not in SLICES[kind]:
    raise ValueError(
      f"--topology {name!r}: {kind} has no slice {shape!r}; it has "
      f"{', '.join(SLICES[kind])}"
    )
  if kind == "h100":
    count = int(shape) if shape.isdigit() else 0
    if count not in (1, 2, 4) and (count < 1 or count % GPUS_PER_HOST):
      raise ValueError(
        f"--topology {name!r}: {shape!r} is not a number of GPUs; give h100:1, "
        f"h100:2, h100:4, h100:{GPUS_PER_HOST} or a multiple of {GPUS_PER_HOST}"
      )
  library = _LIBRARIES[_platform(kind)]
  if importlib.util.find_spec(library) is None:
    raise ValueError(
      f"--topology {name}: {library}, its compiler, is not installed; "
      "pip install 'unloc_jax[plan]'"
    )


def _platform(kind: str) -> str:
  return "tpu" if kind in SLICES else "cuda"


def prepare(name: str) -> None:
  """Sets the environment for a topology; to be called before JAX is used."""
  if name != "local":
    # The host only compiles; what accelerators it has are left alone.
    os.environ["JAX_PLATFORMS"] = "cpu"
  for key, value in _QUIET.items():
    os.environ.setdefault(key, value)


def open_topology(name: str) -> Topology:
  """The devices of a topology; raises as `check_name`."""
  if name == "local":
    return _local()
  check_name(name)
  prepare(name)
  kind, _, shape = name.partition(":")
  chip, platform = CHIPS[kind], _platform(kind)
  if platform == "tpu":
    wanted: dict[str, Any] = {"topology_name": name}
    wanted |= {**_MEGACORE.get(kind, {}), **_ALONE.get(shape, {})}
  else:
    count = int(shape)
    per_host = min(count, GPUS_PER_HOST)
    target = pathlib.Path(__file__).with_name("h100_target.txtpb")
    wanted = {
      "topology_name": "",
      "topology": f"1x{count // per_host}x{per_host}",
      "target_config": target.read_text(),
    }
  from jax.experimental import topologies

  with silent():
    found = topologies.get_topology_desc(platform=platform, **wanted)
  return Topology(name, platform, found.devices, chip, chip.memory)


def _local() -> Topology:
  import jax

  devices = jax.devices()
  chip = chip_of_kind(devices[0].device_kind)
  if chip is not None:
    memory = chip.memory
  else:
    stats = devices[0].memory_stats() or {}
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Devices of one host share its memory.
    memory = stats.get("bytes_limit", pages // len(devices))
  return Topology(
    "local", devices[0].platform, devices, chip, memory, local=True
  )


@contextlib.contextmanager
def silent() -> Iterator[None]:
  """Keeps warnings of C++ libraries that look for hardware off the terminal."""
  sys.stderr.flush()
  kept = os.dup(2)
  nothing = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(nothing, 2)
    yield
  finally:
    os.dup2(kept, 2)
    os.close(nothing)
    os.close(kept)
