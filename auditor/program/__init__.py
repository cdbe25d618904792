"""What the script is: syntax tree, symbolic positions, calls by line, effective configuration."""
