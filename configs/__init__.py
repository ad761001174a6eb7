"""One small change of the base config per benchmark."""
