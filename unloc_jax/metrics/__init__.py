"""Scores submissions with the official numbers. NumPy only."""
