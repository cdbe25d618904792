"""What runs inside the sandbox, beside the submission: a CPU that answers like one rank of an 8xH100 machine.

This package is mounted into the sandbox alone, under the name `pgolf_runtime`, so it imports the standard library,
torch and itself, and nothing of `auditor`. The host never imports it: `auditor.experiment.stage`
starts `python -m pgolf_runtime job.json`. One concept a module:

- `job`          what is to be run, and the result that is written in the end;
- `device`       CUDA devices, streams, events and memory figures, all of them the CPU;
- `compiling`    `torch.compile` as identity, autocast and inference mode as what a CPU has;
- `compressing`  compressors at their fastest level;
- `distributed`  collectives of a world of one, without a process group;
- `attention`    FlashAttention 2 and 3, computed by scaled dot-product attention;
- `absent`       packages that are not installed, as stubs that fail when they are really used;
- `kernels`      Triton kernels, interpreted;
- `packed`       `exec` and `compile` of source that was packed, with its lines kept for tracebacks and taps;
- `clock`        a clock that advances by readings, so that wall-clock rules are deterministic;
- `deadline`     where the script is when its time runs out;
- `commands`     helper processes: nvidia-smi, git, pip, a relaunch of the script itself;
- `threads`      thread pools that run in the caller's thread;
- `files`        the toy data where the script looks for the real data;
- `liven`        noise into weights that start at zero;
- `taps`         what is measured: each tap is one module there, named in the job.

The submission shares this process and can forge any result. So the result is read as data, with a bound on its size,
and a pass never stands without the static verdict beside it.
"""
