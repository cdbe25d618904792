"""How learning rate, momentum and depth change over a run: pure functions of progress."""

from __future__ import annotations

from dataclasses import dataclass

from reference_impl.config import OptimConfig, TrainConfig


@dataclass(frozen=True)
class Progress:
    """How far a run is: finished steps, and seconds of training (validation not counted)."""

    step: int
    seconds: float


def limit(config: TrainConfig) -> float:
    """Seconds that training itself may take; 0 is no limit."""
    return max(config.seconds - config.reserve_seconds, 0.0) if config.seconds > 0 else 0.0


def fraction(config: TrainConfig, at: Progress) -> float:
    """Share of the run that is over: of its seconds where they are limited, else of its steps."""
    return at.seconds / limit(config) if limit(config) else at.step / config.iterations


def lr_scale(config: TrainConfig, at: Progress) -> float:
    """Factor of all learning rates: 1, then a straight line towards 0 (warmdown).

    `warmdown_fraction` lays the line over that last share of the run. `warmdown_steps` lays it over as many steps; with
    a wall-clock limit, over the time that so many steps of the mean duration so far would take.
    """
    if config.warmdown_fraction > 0:
        left = (1.0 - fraction(config, at)) / config.warmdown_fraction
        return min(1.0, max(left, config.min_lr))
    if config.warmdown_steps <= 0:
        return 1.0
    if limit(config):
        mean = at.seconds / max(at.step, 1)
        left, span = limit(config) - at.seconds, config.warmdown_steps * mean
    else:
        left, span = float(config.iterations - at.step), float(config.warmdown_steps)
    return 1.0 if left > span else max(left, 0.0) / max(span, 1e-12)


def momentum(config: OptimConfig, step: int) -> float:
    """Muon's momentum, warmed up along a straight line."""
    share = min(step / config.momentum_warmup_steps, 1.0) if config.momentum_warmup_steps > 0 else 1.0
    return (1 - share) * config.momentum_start + share * config.momentum


def recurs(config: TrainConfig, at: Progress) -> bool:
    """Whether the recurrent layers are repeated by now (PR #1394: shallow steps are faster, so they come first)."""
    return fraction(config, at) >= config.recur_at


def quantizes(config: TrainConfig, at: Progress) -> bool:
    """Whether training goes through the quantiser by now (late QAT, PR #315)."""
    return lr_scale(config, at) < config.qat_below
