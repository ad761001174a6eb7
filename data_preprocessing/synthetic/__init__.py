"""The embedded benchmark: coloured shapes which act, rendered to real video."""
