"""Input: built datasets to batches of frames (or embeddings) and token ids."""

from unloc_jax.data import memory

memory.reuse()
