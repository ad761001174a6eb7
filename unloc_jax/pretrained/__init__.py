"""Parameters that others trained -> ours."""
