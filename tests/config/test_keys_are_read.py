"""No setting that nothing reads."""

import ast
import functools
import pathlib

from configs import common
from unloc_jax.config.schema import base, flat
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


def is_read(name: str) -> bool:
  """Whether some code reads the key of this dotted name."""
  section, key = f"config.{name}".split(".")[-2:]
  if (section, "to_dict") in reads():
    return True  # Splatted into a dataclass, which refuses unknown fields.
  if section == "mesh":
    return key in sharding.MESH_AXES  # All axes are read in a loop.
  tower = {"image_tower": ImageTower, "text_tower": TextTower}.get(section)
  if tower and key in tower.__dataclass_fields__:
    return True  # Splatted, too.
  owners = {section} | _ALIASES.get(section, set())
  return any((owner, key) in reads() for owner in owners)


def test_every_key_is_read():
  """Wire what is named here, or remove it."""
  config = base().unlock()
  assert [name for name, _ in flat(config) if not is_read(name)] == []
  config.train.warp_factor = 9
  dead = [name for name, _ in flat(config) if not is_read(name)]
  assert dead == ["train.warp_factor"]
