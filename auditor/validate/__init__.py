"""Running a submission again, seed by seed, and comparing what it does with what it claims (`pgolf validate`).

    submission, machine, data                        what is asked for, what is here
      -> plan       Plan: settings, processes, budgets, what it costs at most, what cannot be compared
      -> guard      Data: shards against known lengths and hashes, no validation text among the training data
      -> jobs       one Job a seed, run here one after the other or handed to Slurm
           workspace   the files, the command and what the sandbox lets it see
           clock       lines as they come, with our own time: the phases of the run, and its end when one is over
           artifact    bytes of code and of the weights that it left
        -> SeedRun, kept in OUT/seed-N.json as soon as it is over; OUT/seed-N.log is what it printed
      -> compare    Rows: claimed, measured, how far off is allowed, what follows
      -> outcome    validation.json, and the same for people (`auditor.report.validation`)

A run is found again by its key: a hash of the script and its files, the settings, the data, the machine and the
budgets. A seed whose run of that key is over is not run again, so a validation that was killed goes on where it was.
A seed that failed is tried again, and loses no other one. Claims are no part of the key: when only they change, the
same runs are compared again.

Nothing of a submission runs outside `auditor.sandbox`. On GPUs that is `torchrun` of the script as it is committed,
with the devices bound in, the data read-only and no network. With `--toy` it is one process of `auditor.runtime`, a CPU
that answers like one rank, over toy data and at toy sizes: `torchrun` has no part in that.

What the sandbox lets through is hostile: logs are parsed by `auditor.records`, files are counted and never opened.
"""
