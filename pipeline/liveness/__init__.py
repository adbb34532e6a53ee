"""Evidence of life over time and the decision that mints a pass.

`Judge` is what the gate uses; `PassiveScorer` scores still pictures.
"""

from pipeline.liveness.calibration import Calibration, load_calibration
from pipeline.liveness.continuity import ContinuityLimits, FaceGuard
from pipeline.liveness.cues import CUES, Cue, CueContext, CueReading, CueRole
from pipeline.liveness.decision import DecisionLimits, SequentialDecision
from pipeline.liveness.evidence import Evidence, Step, Verdict, VerdictState
from pipeline.liveness.judge import Judge, JudgeSettings
from pipeline.liveness.livepass import LivePass
from pipeline.liveness.passive import NETS, NetSpec, PassiveNet, PassiveScore, PassiveScorer
from pipeline.liveness.session import Session

__all__ = [
    "CUES",
    "NETS",
    "Calibration",
    "ContinuityLimits",
    "Cue",
    "CueContext",
    "CueReading",
    "CueRole",
    "DecisionLimits",
    "Evidence",
    "FaceGuard",
    "Judge",
    "JudgeSettings",
    "LivePass",
    "NetSpec",
    "PassiveNet",
    "PassiveScore",
    "PassiveScorer",
    "SequentialDecision",
    "Session",
    "Step",
    "Verdict",
    "VerdictState",
    "load_calibration",
]
