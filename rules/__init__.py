"""The rule book: one folder a family, one module a rule, in order of seriousness."""

from __future__ import annotations

from functools import cache

from rules.base import Rule
from rules.calibration.val_calibration import ValCalibration
from rules.causality.bos_boundary_leak import BosBoundaryLeak
from rules.causality.non_causal import NonCausal
from rules.causality.undecodable_order import UndecodableOrder
from rules.data.external_data_or_network import ExternalDataOrNetwork
from rules.data.state_outside_artifact import StateOutsideArtifact
from rules.data.val_in_train import ValInTrain
from rules.experiment.experiment_violation import ExperimentViolation
from rules.neural.pure_neural import PureNeural
from rules.ngram.cache_before_score import CacheBeforeScore
from rules.ngram.context_only_ngram import ContextOnlyNgram
from rules.ngram.ngram_target_in_key import NgramTargetInKey
from rules.ngram.oracle_selection import OracleSelection
from rules.ngram.ppm_byte_mixture import PPMByteMixture
from rules.ngram.target_gated_mixing import TargetGatedMixing
from rules.ngram.unnormalized_mixture import UnnormalizedMixture
from rules.readability.broken_script import BrokenScript
from rules.readability.no_evaluation import NoEvaluation
from rules.readability.opaque_code import OpaqueCode
from rules.records.artifact_over_cap import ArtifactOverCap
from rules.records.byte_accounting import ByteAccounting
from rules.records.calibration_outside_budget import CalibrationOutsideBudget
from rules.records.claim_log_mismatch import ClaimLogMismatch
from rules.records.missing_evidence import MissingEvidence
from rules.records.missing_seeds import MissingSeeds
from rules.records.mixed_config_seeds import MixedConfigSeeds
from rules.records.not_significant import NotSignificant
from rules.records.partial_validation import PartialValidation
from rules.records.time_over_budget import TimeOverBudget
from rules.slot.slot_context_only import SlotContextOnly
from rules.slot.slot_scored_region import SlotScoredRegion
from rules.ttt.score_first_ttt import ScoreFirstTTT
from rules.ttt.ttt_warmup_on_val import TTTWarmupOnVal
from rules.ttt.two_pass_rescoring import TwoPassRescoring
from rules.ttt.val_token_ttt import ValTokenTTT


@cache
def catalogue() -> tuple[Rule, ...]:
    """Every rule; the first that flags names the class of the verdict, else the first positive one does."""
    return (
        ValTokenTTT(),
        NgramTargetInKey(),
        TwoPassRescoring(),
        OracleSelection(),
        UnnormalizedMixture(),
        TargetGatedMixing(),
        SlotScoredRegion(),
        ValCalibration(),
        CacheBeforeScore(),
        PPMByteMixture(),
        SlotContextOnly(),
        TTTWarmupOnVal(),
        ValInTrain(),
        NonCausal(),
        BosBoundaryLeak(),
        ExternalDataOrNetwork(),
        UndecodableOrder(),
        StateOutsideArtifact(),
        ExperimentViolation(),
        BrokenScript(),
        OpaqueCode(),
        NoEvaluation(),
        ArtifactOverCap(),
        TimeOverBudget(),
        CalibrationOutsideBudget(),
        MissingSeeds(),
        MixedConfigSeeds(),
        NotSignificant(),
        ClaimLogMismatch(),
        ByteAccounting(),
        PartialValidation(),
        MissingEvidence(),
        ScoreFirstTTT(),
        ContextOnlyNgram(),
        PureNeural(),
    )
