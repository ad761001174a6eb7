"""What a compiled program costs a device, and what devices can do."""
