"""Many pull requests in one go: audited in parallel processes, one JSON line each, resumable, cached.

`run.sweep` composes the parts: `pulls` (which ones), `keys` (what a result depends on), `cache` (results by key),
`workers` (processes that audit), `output` (the file that survives a kill), `summary` (what came out).
"""
