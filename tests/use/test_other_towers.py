"""A run of towers that are not CLIP's: exported, asked, its tokenizer along."""

import shutil

import numpy as np
import pytest

from tests.use.conftest import save_run, tiny_config
from tests.weights.towers import WORDS, write_tokenizer
from unloc_jax import Localizer
from unloc_jax.use.export_run import export_run
from unloc_jax.use.questions import TextRows


@pytest.fixture(scope="module")
def export(dataset, tmp_path_factory):
  """SigLIP's image tower and a BERT; nothing but the export is left."""
  folder = tmp_path_factory.mktemp("towers")
  write_tokenizer(folder)
  config = tiny_config(dataset)
  image, text = config.model.image_tower, config.model.text_tower
  image.kind, image.classifier = "siglip2", "attention"
  text.kind, text.vocab_size = "bert", len(WORDS)
  text.mlp_dim, text.activation = 40, "gelu"
  config.text.tokenizer = str(folder / "tokenizer.json")
  save_run(config, folder / "run")
  (folder / "tokenizer.json").unlink()
  export_run(str(folder / "run"), str(folder / "export"))
  shutil.rmtree(folder / "run")
  return folder / "export"


def test_an_export_answers_with_its_own_tokenizer(export, videos):
  localizer = Localizer.from_export(export)
  ids = TextRows(localizer.export.config).captions(("A dog barks.",))
  assert ids.tolist() == [[[2, 4, 5, 6, 7, 8, 3, 0]]]
  video = localizer.encode_video(videos[0])
  moments = localizer.localize(video, ["A dog barks.", "a a a"], top_k=2)
  scores = [moment.score for moment in moments]
  assert len(scores) == 4
  assert np.isfinite(scores).all()
  assert scores[0] != scores[2]
