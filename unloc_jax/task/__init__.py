"""What is asked of a video: pure functions and values."""
