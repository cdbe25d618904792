"""Logs in the dialects of the field, written for the tests."""

from __future__ import annotations

FIRST = """\
logs/a.txt
val_loader:shards pattern=./data/fineweb_val_*.bin tokens:62021632
train_loader:dataset:fineweb10B_sp1024 train_shards:80
model_params:17059912
world_size:8 grad_accum_steps:1
seed:1337
warmup_step:1/20
step:0/20000 val_loss:6.9357 val_bpb:4.1077 train_time:0ms step_avg:0.01ms
step:1/20000 train_loss:6.9408 train_time:50ms step_avg:49.97ms
step:13000/20000 val_loss:2.1017 val_bpb:1.2413 train_time:599900ms step_avg:46.14ms
stopping_early: wallclock_cap train_time:599950ms step:13001/20000
peak memory allocated: 8926 MiB reserved: 8998 MiB
Serialized model: 67137349 bytes
Code size: 46138 bytes
Total submission size: 67183487 bytes
Serialized model int8+zlib: 15765064 bytes (payload:17096766 raw_torch:17137021 payload_ratio:3.93x)
Total submission size int8+zlib: 15811202 bytes
final_int8_zlib_roundtrip val_loss:2.0594 val_bpb:1.2197 eval_time:1310ms
final_int8_zlib_roundtrip_exact val_loss:2.05940000 val_bpb:1.21969868
"""
"""The first dialect; the implied length is that of the whole validation set."""

SPACED = """\
Hyperparameters:
  gptq_reserve_seconds: 12.0
  seed: 42
  world_size: 8
train_shards: 128
val_tokens: 40540160
0/20000 val_loss: 9.0074 val_bpb: 3.4871
1/20000 train_loss: 9.0080 train_time: 0.0m tok/s: 8656612
4452/20000 val_loss: 2.8300 val_bpb: 1.0956
stopping_early: wallclock_cap train_time: 588130ms step: 4452/20000
pre-quantization post-ema val_loss:2.81405738 val_bpb:1.08942201 eval_time:21025ms
Serialized model: 135431033 bytes
Code size (uncompressed): 122604 bytes
Code size (compressed): 27680 bytes
GPTQ:collecting Hessians from calibration data...
GPTQ:collected 67 Hessians in 12.9s
Serialized model quantized+brotli: 15950433 bytes
Total submission size quantized+brotli: 15978113 bytes
quantized val_loss:2.84057742 val_bpb:1.09968887 eval_time:7458ms
quantized_sliding_window val_loss:2.79677150 val_bpb:1.08273003 eval_time:94964ms
ttt_chunk [1/474] bpb=1.205191 time=1.2s
quantized_ttt val_loss:2.79466966 val_bpb:1.08191633 eval_time:359919ms
total_eval_time:463.1s
"""
"""The second dialect: spaces, minutes, compressed code, test-time training."""

PROSE = """\
World size: 2, Grad accum: 4
Seed: 42, Steps: 7000, Warmdown: 2100
Validation tokens: 40,540,160
step     1/7000 | loss 9.0100 | lr_mul 0.05 | 0.01 steps/s | 109s
step  7000/7000 | loss 2.9 | lr_mul 0.0 | 12 steps/s | 590s
Training complete in 590s (7000 steps)
EMA BPB (fp32):     0.997002
Artifact: 15,170,538 bytes (14.47 MB)
Quantized BPB:      1.008508
TTT BPB:          1.004025  (delta: -0.004483)
"""
"""A third one: words, thousands separators."""
