"""What was found, as official files, tables and pictures."""
