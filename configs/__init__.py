"""One small change of configs/common.py per benchmark."""
