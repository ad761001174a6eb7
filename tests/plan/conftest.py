"""The tiny config and datasets of the training tests."""

from tests.training.conftest import (  # noqa: F401
  captions,
  classes,
  config,
  tiny_config,
)
