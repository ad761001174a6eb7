"""Other projects' weights -> ours."""
