"""What runs on the embedded benchmark learned, beside what needs no model."""
