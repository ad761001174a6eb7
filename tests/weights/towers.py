"""Random towers of others, and what ours make of the same."""

import json

import flax.traverse_util
import jax
import numpy as np
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from unloc_jax.models.towers import kinds
from unloc_jax.weights.folder import tower_of

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "bark", "##s", ".")


def write_tokenizer(folder):
  """A tiny WordPiece tokenizer.json."""
  vocab = {word: i for i, word in enumerate(WORDS)}
  made = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
  made.normalizer = normalizers.BertNormalizer(lowercase=True)
  made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  made.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
  )
  made.save(str(folder / "tokenizer.json"))


def randomised(torch, model, seed=0):
  """A module of PyTorch with values that keep every layer's output about 1."""
  rng = np.random.default_rng(seed)
  for name, value in model.named_parameters():
    made = rng.standard_normal(value.shape)
    if value.ndim > 1:
      made *= np.prod(value.shape[1:]) ** -0.5
    elif value.ndim == 1 and name.endswith("weight"):
      made = 1 + 0.1 * made
    else:
      made *= 0.1
    value.data = torch.from_numpy(np.asarray(made, np.float32))
  return model.eval()


def tensors_of(model):
  """NumPy arrays by name."""
  return {name: value.numpy() for name, value in model.state_dict().items()}


def run_tower(made, part, inputs):
  """What the "image" or "text" tower of converted weights makes of inputs."""
  # As written and read again.
  section = tower_of(json.loads(json.dumps(made.config)), part)
  options = {"per_frame_class": False} if part == "image" else {}
  make = kinds.image_tower if part == "image" else kinds.text_tower
  tower = make({**section, **options})
  flat = {
    name.removeprefix(f"{part}_tower/"): value
    for name, value in made.params.items()
    if name.startswith(f"{part}_tower/")
  }
  params = flax.traverse_util.unflatten_dict(flat, sep="/")
  run = jax.jit(lambda x: tower.apply({"params": params}, x, True))
  return tower, np.asarray(run(inputs))
