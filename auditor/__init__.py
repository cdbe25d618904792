"""The tool: submissions in, verdicts with evidence out."""
