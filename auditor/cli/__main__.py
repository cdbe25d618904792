"""`python -m auditor.cli` is the `pgolf` command."""

from auditor.cli import main

main()
