"""Meshes, processes and preemption: what knows of devices and hosts."""
