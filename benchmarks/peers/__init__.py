"""Other systems' own code beside ours: same features, splits and CPU time."""
