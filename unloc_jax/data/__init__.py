"""Input: built datasets to batches of frames (or embeddings) and token ids."""

import os

from unloc_jax.data import memory

# What TensorFlow misses at its start is no concern of ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
memory.reuse()
