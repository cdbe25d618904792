"""What is measured while a script runs: one module a tap, named in the job.

A tap module has a class `Tap(run, options)` with `install()`, called after the runtime is in place and before the
script is read, and `result()`, plain JSON data, called when the run ends, however it ends. `run.stop()` ends the run at
once and keeps what was measured: not by an exception, which a script could catch.
"""
