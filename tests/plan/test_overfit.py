"""One batch can be learnt by heart, and it is said where it was not."""

import pytest

from unloc_jax.config.keys import INF
from unloc_jax.plan import overfit


@pytest.mark.heavy
def test_it_is_said_whether_it_managed(config, capsys, monkeypatch):
  config.pyramid.ranges = ((0, INF),)
  assert not overfit.run(config.lock(), 11, 1e-2)
  assert "did NOT manage" in capsys.readouterr().out
  # A third is enough here, of the same program: what is left takes minutes.
  monkeypatch.setattr(overfit, "LEFT", 0.67)
  assert overfit.run(config.lock(), 200, 1e-2)
  assert "managed: the loss of one batch went from" in capsys.readouterr().out


def test_too_few_steps(config):
  with pytest.raises(ValueError, match="overfit_steps=5"):
    overfit.run(config.lock(), 5, 1e-3)
