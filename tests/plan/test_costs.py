"""What a compiled program costs, against what can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from unloc_jax.costs import counting, hlo, products
from unloc_jax.models import kernels
from unloc_jax.models.transformer import Transformer
from unloc_jax.plan import step_plan


def compiled(function, *shapes, **options):
  arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  return jax.jit(function, **options).trace(*arrays).lower().compile()


def test_a_product_is_two_flops_per_multiply_add():
  program = compiled(lambda a, b: jnp.tanh(a) @ b, (8, 32), (32, 16))
  assert counting.count(program.as_text(), 1).flops == 2 * 8 * 32 * 16


def test_a_loop_counts_as_often_as_it_runs():
  def run(x, layers):
    return jax.lax.scan(lambda x, w: (jnp.sin(x @ w), None), x, layers)[0]

  program = compiled(run, (8, 32), (7, 32, 32))
  found = counting.count(program.as_text(), 1)
  assert found.flops == 7 * 2 * 8 * 32 * 32
  # Every weight is read once, not all of them in every turn.
  assert 7 * 32 * 32 * 4 <= found.bytes < 7 * 7 * 32 * 32 * 4


@pytest.mark.parametrize("remat", ["none", "full"])
def test_blocks_count_as_xla_counts_them_unscanned(remat):
  """XLA counts a scan's body once, and small change besides products."""

  def counted(scan):
    model = Transformer(
      num_layers=3,
      num_heads=2,
      mlp_dim=256,
      activation="gelu_tanh",
      remat=remat,
      scan=scan,
    )
    x = jax.ShapeDtypeStruct((4, 32, 64), jnp.float32)
    params = jax.eval_shape(
      lambda key: model.init(key, jnp.zeros(x.shape), None, True),
      jax.random.key(0),
    )

    def loss(params, x):
      return jnp.sum(model.apply(params, x, None, True) ** 2)

    traced = jax.jit(jax.grad(loss)).trace(params, x)
    lowered = traced.lower()
    program = lowered.compile()
    ours = counting.count(program.as_text(), 1).flops
    written = counting.count(step_plan.text_of(lowered), 1).flops
    return written, ours, program.cost_analysis()["flops"]

  (written, ours, xla), (scan_written, scan_ours, scan_xla) = (
    counted(scan) for scan in (False, True)
  )
  assert scan_written == pytest.approx(written, rel=1e-3)
  # Unscanned, XLA:CPU shares what is recomputed with what was computed: at
  # most all of it, a quarter of the work.
  least = 0.75 if remat == "full" else 1.0
  assert 0.95 * least * written < ours < 1.05 * written
  assert scan_ours == pytest.approx(written, rel=0.02)
  assert 0.9 * xla < ours <= xla
  assert scan_xla < 0.6 * scan_ours


@pytest.mark.parametrize(
  ("groups", "size"),
  [
    ("replica_groups={{0,1,2,3},{4,5,6,7}}", 4),
    ("replica_groups=[4,2]<=[2,4]T(1,0)", 2),
    ("replica_groups=mesh['a'=4,'b'=2] {'a','b'}", 8),
    ("replica_groups=mesh['a'=4,'b'=2] {'b'}", 2),
    ("replica_groups=mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'b'}", 2),
    ("replica_groups={}", 8),
  ],
)
def test_groups(groups, size):
  assert counting.group_size(groups, 8) == size


def test_gradients_are_summed_over_the_devices():
  mesh = Mesh(np.array(jax.devices()), ("data",))
  rows = NamedSharding(mesh, PartitionSpec("data"))
  whole = NamedSharding(mesh, PartitionSpec())

  def loss(w, x):
    return jnp.sum((x @ w) ** 2)

  program = compiled(
    jax.grad(loss),
    (32, 16),
    (64, 32),
    in_shardings=(whole, rows),
    out_shardings=whole,
  )
  found = counting.count(program.as_text(), 8)
  (sum_,) = found.traffic
  assert (sum_.kind, sum_.group, sum_.count) == ("all-reduce", 8, 1)
  assert sum_.payload == 32 * 16 * 4
  assert sum_.sent == pytest.approx(2 * 7 / 8 * sum_.payload)
  assert found.flops == 2 * 2 * 8 * 32 * 16


_TPU = """HloModule m
%body (p: (s32[], f32[4,2,16,64])) -> (s32[], f32[4,2,16,64]) {
  %p = (s32[], /*index=1*/f32[4,2,16,64]{3,2,1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  %x = f32[4,2,16,64]{3,2,1,0:T(8,128)} get-tuple-element(%p), index=1
  %w = f32[64,64,1,1]{1,0,3,2:T(8,128)S(1)} constant({...})
  %y = f32[4,2,16,64]{3,2,1,0} convolution(%x, %w), window={size=1x1}, \
dim_labels=01bf_io01->01bf
  %g = f32[4,2,16,64]{3,2,1,0} all-gather(%y), replica_groups={{0,1}}
  ROOT %t = (s32[], f32[4,2,16,64]) tuple(%i, %g)
}
%condition (q: (s32[], f32[4,2,16,64])) -> pred[] {
  %q = (s32[], f32[4,2,16,64]) parameter(0)
  %n = s32[] constant(12)
  %j = s32[] get-tuple-element(%q), index=0
  ROOT %less = pred[] compare(%j, %n), direction=LT
}
ENTRY %main (a: (s32[], f32[4,2,16,64])) -> (s32[], f32[4,2,16,64]) {
  %a = (s32[], f32[4,2,16,64]) parameter(0)
  ROOT %loop = (s32[], f32[4,2,16,64]) while(%a), condition=%condition, \
body=%body
}
"""


def test_a_loop_of_the_tpu_compiler():
  """It writes products as convolutions and leaves the trip count out."""
  found = counting.count(_TPU, 2)
  assert found.flops == 12 * 2 * (4 * 2 * 16) * 64 * 64
  (gather,) = found.traffic
  assert (gather.kind, gather.count) == ("all-gather", 12)
  assert gather.payload == 12 * 4 * 2 * 16 * 64 * 4
  assert gather.sent == gather.payload / 2


@pytest.mark.parametrize(
  ("window", "labels", "left", "right", "out", "count"),
  [
    # Attention's logits: batch axes are windows over inserted zeros.
    (
      "size=4x2x4 stride=3x1x3 lhs_dilate=4x2x4",
      "01b2f_01o2i->012bf",
      (4, 2, 17, 4, 16),
      (4, 2, 17, 4, 16),
      (4, 2, 4, 17, 17),
      2 * 4 * 2 * 4 * 17 * 17 * 16,
    ),
    # A head's outputs: one axis is a window over padding.
    (
      "size=1x1x4 pad=0_0x0_0x3_3 rhs_reversal=0x0x1",
      "01bf2_i2o01->01b2f",
      (4, 2, 16, 64, 1),
      (64, 4, 16, 1, 1),
      (4, 2, 16, 4, 16),
      2 * (4 * 2 * 16) * 64 * 64,
    ),
  ],
)
def test_products_as_convolutions(window, labels, left, right, out, count):
  arrays = [hlo.Array("f32", dims) for dims in (left, right, out)]
  attributes = f", window={{{window}}}, dim_labels={labels}"
  assert products.convolution_flops(*arrays, attributes) == count


def test_arrays_on_the_chip_are_no_memory_traffic():
  """Of a prefetch the read counts, of a product of what is there nothing."""
  text = """HloModule m
ENTRY %main (a: f32[8,8]) -> f32[8,8] {
  %a = f32[8,8]{1,0} parameter(0)
  %s = (f32[8,8]{1,0:S(1)}, f32[8,8]{1,0}, u32[]) copy-start(%a)
  %c = f32[8,8]{1,0:S(1)} copy-done(%s)
  %d = f32[8,8]{1,0:S(1)} dot(%c, %c), lhs_contracting_dims={1}
  ROOT %r = f32[8,8]{1,0} add(%d, %a)
}
"""
  found = counting.count(text, 1)
  assert found.flops == 2 * 8 * 8 * 8
  assert found.bytes == 256 + 0 + 2 * 256


def test_scratch_space_of_a_library_is_no_memory_traffic():
  text = """HloModule m
ENTRY %main (a: f32[8,8]) -> f32[8,8] {
  %a = f32[8,8]{1,0} parameter(0)
  %c = (f32[8,8]{1,0}, s8[33554432]{0}) custom-call(%a, %a), \
custom_call_target="__cublas$gemm", backend_config={"gemm_backend_config":\
{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"]}}}
  ROOT %r = f32[8,8]{1,0} get-tuple-element(%c), index=0
}
"""
  found = counting.count(text, 1)
  assert (found.flops, found.bytes) == (2 * 8 * 8 * 8, 3 * 256)


def test_types():
  text = "(bf16[3,5]{1,0:T(8,128)(2,1)S(1)}, s4[3], token[], pred[7])"
  (one, two, three) = hlo.parse_type(text)
  assert (three.dims, three.nbytes) == ((7,), 7)
  assert (one.dims, one.nbytes, one.on_chip) == ((3, 5), 30, True)
  assert (two.dims, two.nbytes, two.on_chip) == ((3,), 2, False)


def test_a_kernel_of_attention_is_counted():
  """The TPU's, lowered here: 2 products forward, 3 and 4 backward."""
  x = jax.ShapeDtypeStruct((2, 513, 3, 64), jnp.bfloat16)

  def run(*parts):
    out = kernels.attend(kernels.KERNELS["tpu"], *parts, None)
    return jnp.sum(out.astype(jnp.float32))

  traced = jax.jit(jax.grad(run, (0, 1, 2))).trace(x, x, x)
  text = step_plan.text_of(traced.lower(lowering_platforms=("tpu",)))
  scores = 2 * 3 * 640 * 640
  assert counting.count(text, 1).flops == 2 * (2 + 3 + 4) * scores * 72
