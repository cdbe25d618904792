"""From settings to a predictor: a network, perhaps adapting, and what is laid over its distribution."""

from __future__ import annotations

from collections.abc import Mapping

from reference_impl.config import EvaluateConfig
from reference_impl.evaluate.neural import AdaptingPredictor, LoraPredictor, SlidingPredictor, at_temperature
from reference_impl.evaluate.ngram import NgramPredictor, TiltPredictor
from reference_impl.evaluate.stream import Predictor
from reference_impl.model import GPT
from reference_impl.optim.world import ALONE, World

OFF = {"adapt": "none", "ngram_weight": "0", "tilt_boost": "0", "temperature": "1"}
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "preset": {},
    "flat": {**OFF, "stride": "0"},
    "sliding": OFF,
    "ttt": {**OFF, "adapt": "sgd"},
    "lora": {**OFF, "adapt": "lora"},
    "ngram": {**OFF, "ngram_weight": "0.3"},
    "tilt": {**OFF, "tilt_boost": "2.625"},
}
"""What `--predictor NAME` changes in the `evaluate` section of the run; `preset` is the run's own."""


def make_predictor(model: GPT, config: EvaluateConfig, world: World = ALONE) -> Predictor:
    """The predictor that the settings describe, whose training `world` shares; leaves the model as it is."""
    predictor: Predictor
    if config.adapt == "lora":
        predictor = LoraPredictor(model, config)
    elif config.adapt != "none":
        predictor = AdaptingPredictor(model, config, world)
    else:
        predictor = SlidingPredictor(at_temperature(model, config.temperature), config.sequence, config.stride)
    if config.ngram_weight > 0:
        predictor = NgramPredictor(predictor, model.config.vocab, config.ngram_weight, config.ngram_order)
    if config.tilt_boost:
        predictor = TiltPredictor(predictor, config.tilt_boost, config.tilt_order, config.tilt_threshold)
    return predictor
