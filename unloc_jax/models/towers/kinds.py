"""Kinds of towers by name; another kind is a file and a line here.

How weights that others publish become its parameters is in `unloc_jax.weights`.
"""

from collections.abc import Mapping
from typing import Any

from unloc_jax.models.towers.bert import BertTower
from unloc_jax.models.towers.clip import ImageTower, TextTower
from unloc_jax.models.towers.perception import PerceptionImageTower
from unloc_jax.models.towers.siglip import SiglipImageTower, SiglipTextTower

IMAGE_TOWERS: dict[str, type[ImageTower]] = {
  "clip": ImageTower,
  "siglip2": SiglipImageTower,
  "pe": PerceptionImageTower,
}
TEXT_TOWERS: dict[str, type[TextTower]] = {
  "clip": TextTower,
  "siglip2": SiglipTextTower,
  "bert": BertTower,
}


def image_tower(section: Mapping[str, Any], **options: Any) -> ImageTower:
  """The tower of a section `model.image_tower`; `options` come on top."""
  tower = IMAGE_TOWERS[section["kind"]]
  return tower(**_known(tower, {**section, **options}))


def text_tower(section: Mapping[str, Any], **options: Any) -> TextTower:
  """The tower of a section `model.text_tower`; `options` come on top."""
  tower = TEXT_TOWERS[section["kind"]]
  return tower(**_known(tower, {**section, **options}))


def _known(tower: Any, section: Mapping[str, Any]) -> dict[str, Any]:
  """What a tower of this kind takes of its section."""
  return {k: v for k, v in section.items() if k in tower.__dataclass_fields__}
