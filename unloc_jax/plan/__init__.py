"""A config compiled for devices that are not there; see `__main__`."""
