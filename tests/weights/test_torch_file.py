"""Files of PyTorch: tensors come out right, code never runs."""

import pickle
import struct
import zipfile

import numpy as np
import pytest

from unloc_jax.weights import torch_file


def text(value):
  data = value.encode()
  return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
  return b"J" + struct.pack("<i", value)


def name(module, attribute):
  return f"c{module}\n{attribute}\n".encode()


def integers(values):
  return b"(" + b"".join(map(integer, values)) + b"t"


def tensor(kind, key, count, offset, size, stride):
  """Opcodes that rebuild a tensor, as torch.save writes them."""
  storage = b"(" + text("storage") + name("torch", kind) + text(key)
  storage += text("cpu") + integer(count) + b"tQ"
  arguments = b"(" + storage + integer(offset) + integers(size)
  arguments += integers(stride) + b"\x89" + b"}" + b"t"
  return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def state_dict(**items):
  body = b"".join(text(k) + v for k, v in items.items())
  return b"\x80\x02}(" + body + b"u."


def write_zip(path, data, storages, **extra):
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("archive/data.pkl", data)
    for key, values in storages.items():
      archive.writestr(f"archive/data/{key}", values.tobytes())
    for key, value in extra.items():
      archive.writestr(f"archive/{key}", value)
  return str(path)


VALUES = np.arange(24, dtype=np.float32)
WHOLE = tensor("FloatStorage", "0", 24, 0, (4, 6), (6, 1))
TURNED = tensor("FloatStorage", "0", 24, 6, (3, 6), (1, 3))


def test_tensors_and_views(tmp_path):
  path = write_zip(tmp_path / "f", state_dict(a=WHOLE, b=TURNED), {"0": VALUES})
  read = torch_file.read(path)
  np.testing.assert_array_equal(read["a"], VALUES.reshape(4, 6))
  np.testing.assert_array_equal(read["b"], VALUES[6:].reshape(6, 3).T)


def test_half_precision(tmp_path):
  half = tensor("HalfStorage", "0", 4, 0, (4,), (1,))
  brain = tensor("BFloat16Storage", "1", 2, 0, (2,), (1,))
  storages = {
    "0": np.array([1, 2, 3, 0.5], np.float16),
    "1": np.array([0x3F80, 0xC000], np.uint16),
  }
  path = write_zip(tmp_path / "f", state_dict(a=half, b=brain), storages)
  read = torch_file.read(path)
  np.testing.assert_array_equal(read["a"], storages["0"])
  np.testing.assert_array_equal(read["b"].astype(np.float32), [1, -2])


@pytest.mark.parametrize(
  ("module", "attribute"),
  [
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("torch", "load"),
    ("torch.storage", "_load_from_bytes"),
    ("collections", "namedtuple"),
  ],
)
def test_code_is_refused(tmp_path, module, attribute):
  marker = tmp_path / "ran"
  call = name(module, attribute) + b"(" + text(f"touch {marker}") + b"tR"
  path = write_zip(tmp_path / "f", state_dict(a=call, b=WHOLE), {"0": VALUES})
  with pytest.raises(ValueError, match="refused") as caught:
    torch_file.read(path)
  assert not marker.exists()
  assert str(caught.value).count("\n") == 0


def test_a_real_attack_is_refused(tmp_path):
  marker = tmp_path / "ran"

  class Attack:
    def __reduce__(self):
      return (exec, (f"open({str(marker)!r}, 'w')",))

  for protocol in range(6):
    path = write_zip(tmp_path / "f", pickle.dumps(Attack(), protocol), {})
    with pytest.raises(ValueError, match="refused"):
      torch_file.read(path)
  assert not marker.exists()


@pytest.mark.parametrize(
  "bad",
  [
    tensor("FloatStorage", "0", 24, 0, (5, 6), (6, 1)),
    tensor("FloatStorage", "0", 24, 20, (5,), (1,)),
    tensor("FloatStorage", "0", 24, -4, (5,), (1,)),
    tensor("FloatStorage", "0", 24, 0, (1000, 1000), (0, 0)),
    tensor("FloatStorage", "0", 24, 0, (5,), (-1,)),
    tensor("FloatStorage", "9", 24, 0, (5,), (1,)),
    tensor("FloatStorage", "0", 24, 0, (5, 5), (1,)),
  ],
)
def test_tensors_outside_their_storage_are_refused(tmp_path, bad):
  path = write_zip(tmp_path / "f", state_dict(a=bad), {"0": VALUES})
  with pytest.raises(ValueError, match="cannot be read as tensors"):
    torch_file.read(path)


def test_broken_files_are_one_line(tmp_path):
  whole = tmp_path / "whole"
  write_zip(whole, state_dict(a=WHOLE), {"0": VALUES})
  data = whole.read_bytes()
  for length in (0, 10, len(data) // 2, len(data) - 1):
    path = tmp_path / "cut"
    path.write_bytes(data[:length])
    with pytest.raises(ValueError, match="of PyTorch before"):
      torch_file.read(str(path))
  empty = write_zip(tmp_path / "empty", state_dict(), {})
  with pytest.raises(ValueError, match="no tensors"):
    torch_file.read(empty)
  other = write_zip(
    tmp_path / "big", state_dict(a=WHOLE), {"0": VALUES}, byteorder=b"big"
  )
  with pytest.raises(ValueError, match="byte order"):
    torch_file.read(other)


@pytest.mark.parametrize("form", ["zip", "script"])
def test_what_torch_writes(tmp_path, form):
  torch = pytest.importorskip("torch", reason="PyTorch is not installed")
  module = torch.nn.Sequential(
    torch.nn.Conv2d(3, 4, 2), torch.nn.Linear(4, 5).half()
  )
  module.register_buffer("steps", torch.arange(3))
  path = str(tmp_path / "f.pt")
  if form == "script":
    torch.jit.script(module).save(path)
  else:
    torch.save({"epoch": 3, "state_dict": module.state_dict()}, path)
  prefix = "" if form == "script" else "state_dict."
  read = torch_file.read(path)
  expected = module.state_dict()
  assert {k.removeprefix(prefix) for k in read} == set(expected)
  for key, value in expected.items():
    np.testing.assert_array_equal(read[prefix + key], value.numpy())
