"""Published figures of the chips that plans are made for."""

import dataclasses

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
  """One device; peaks in FLOP/s and bytes/s."""

  name: str
  kind: str  # What `jax.Device.device_kind` begins with
  flops_bfloat16: float
  # Of what XLA makes by default of float32 matrix products: one bfloat16 pass
  # on a TPU, TF32 on an H100
  flops_float32: float
  memory: int  # Bytes
  bandwidth: float  # Of memory
  interconnect: float  # What a chip sends to its neighbours over all links
  # Beyond its host's own interconnect; 0 where one joins all hosts
  network: float
  source: str  # Where the figures are published

  def peak_flops(self, dtype: str) -> float:
    """Peak of matrix products computed in `model.dtype`, FLOP/s."""
    return self.flops_bfloat16 if dtype == "bfloat16" else self.flops_float32


def _tpu(
  name: str,
  kind: str,
  teraflops: float,
  gib: int,
  bandwidth: float,
  gigabits: float,
) -> Chip:
  return Chip(
    name=name,
    kind=kind,
    flops_bfloat16=teraflops * 1e12,
    flops_float32=teraflops * 1e12,
    memory=gib * _GIB,
    bandwidth=bandwidth * 1e9,
    interconnect=gigabits * 1e9 / 8,
    network=0.0,
    source=f"cloud.google.com/tpu/docs/{name}",
  )


CHIPS = {
  chip.name: chip
  for chip in (
    _tpu("v4", "TPU v4", 275, 32, 1228, 2400),
    _tpu("v5e", "TPU v5 lite", 197, 16, 819, 1600),
    _tpu("v5p", "TPU v5", 459, 95, 2765, 4800),
    _tpu("v6e", "TPU v6 lite", 918, 32, 1640, 3584),
    # NVLink sends 450 GB/s each way; one 400 Gbit/s port a GPU between hosts.
    Chip(
      name="h100",
      kind="NVIDIA H100",
      flops_bfloat16=989.4e12,
      flops_float32=494.7e12,
      memory=80 * 10**9,
      bandwidth=3352e9,
      interconnect=450e9,
      network=50e9,
      source="NVIDIA H100 Tensor Core GPU datasheet (SXM), DGX H100 datasheet",
    ),
  )
}


def chip_of_kind(kind: str) -> Chip | None:
  """The chip of a `device_kind`, or None; "TPU v5 lite" is not "TPU v5"."""
  fitting = [chip for chip in CHIPS.values() if kind.startswith(chip.kind)]
  return max(fitting, key=lambda chip: len(chip.kind), default=None)
