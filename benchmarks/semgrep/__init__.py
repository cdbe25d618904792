"""The seed patterns as Semgrep rules, and what they find beside what pgolf finds."""
