"""No setting that nothing reads, and none that a typing slip makes."""

import ast
import functools
import pathlib

import ml_collections
import pytest

from configs import common
from unloc_jax.config.schema import base
from unloc_jax.models.towers.clip import ImageTower, TextTower
from unloc_jax.parallel import sharding

_PACKAGE = pathlib.Path(common.__file__).parent.parent / "unloc_jax"

# Names under which functions of the package take a section of the config.
_ALIASES = {
  "data": {"c", "config", "data"},
  "augment": {"augment"},
  "image_tower": {"tower"},
  "text_tower": {"tower"},
  "sound_tower": {"tower"},
}


@functools.cache
def reads() -> frozenset[tuple[str, str]]:
  """(what an attribute is read of, attribute): `a.b.c` gives (b, c)."""
  found = set()
  for path in _PACKAGE.rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
      if not isinstance(node, ast.Attribute):
        continue
      if isinstance(node.ctx, ast.Store):
        continue
      if isinstance(node.value, ast.Attribute):
        found.add((node.value.attr, node.attr))
      elif isinstance(node.value, ast.Name):
        found.add((node.value.id, node.attr))
      elif isinstance(node.value, ast.Subscript):
        # config.model[name].frozen, name being one of several sections.
        found.add(("*", node.attr))
  return frozenset(found)


def leaves(config: ml_collections.ConfigDict, section: str = "config"):
  """(section, key, value) of every setting."""
  for key, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      yield from leaves(value, key)
    else:
      yield section, key


def is_read(section: str, key: str) -> bool:
  """Whether some code reads `section.key`."""
  if (section, "to_dict") in reads():
    return True  # Splatted into a dataclass, which refuses unknown fields.
  if section == "mesh":
    return key in sharding.MESH_AXES  # All axes are read in a loop.
  tower = {"image_tower": ImageTower, "text_tower": TextTower}.get(section)
  if tower and key in tower.__dataclass_fields__:
    return True  # Splatted, too.
  owners = {section} | _ALIASES.get(section, set())
  return any((owner, key) in reads() for owner in owners)


@pytest.mark.parametrize(("section", "key"), leaves(base()))
def test_every_key_is_read(section, key):
  assert is_read(section, key), (
    f"nothing in unloc_jax reads config.{section}.{key}: wire it or remove it"
  )


def test_a_key_nobody_reads_is_noticed():
  config = base().unlock()
  config.train.warp_factor = 9
  dead = [leaf for leaf in leaves(config) if not is_read(*leaf)]
  assert dead == [("train", "warp_factor")]


@pytest.mark.parametrize(
  "name", ["learning_rate", "optimizer.lr", "data.augment.hue", "eval.nms"]
)
def test_unknown_keys_cannot_be_set(name):
  config = base()
  section, _, key = name.rpartition(".")
  target = functools.reduce(getattr, filter(None, section.split(".")), config)
  with pytest.raises(AttributeError):
    setattr(target, key, 1)
