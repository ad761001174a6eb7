"""Input: built datasets to batches of frames (or embeddings) and token ids."""
