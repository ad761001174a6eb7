"""Mixtures of short recordings over noise, exactly annotated."""
