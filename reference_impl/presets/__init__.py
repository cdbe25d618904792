"""Runs as TOML files; `extends` lays a preset over another. `pgolf train NAME --dry-run` shows what one amounts to."""
