"""Scripts that measure us: against peers, baselines and bare loops."""
