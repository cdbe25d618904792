"""Measures of speed and of outcome over a real corpus; run from a checkout, not shipped in the wheel."""
