"""Towers: pixels or tokens -> embeddings."""
