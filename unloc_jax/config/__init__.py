"""Every key of a config: meaning, type, range, choices."""
