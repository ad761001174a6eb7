"""From videos and official annotations to TFRecord."""
