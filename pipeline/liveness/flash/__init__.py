"""Flash reflection: a screen shows colours that nobody can know before, and a head must answer to them.

`FlashSession` is a confirming cue over any `Display`; `FlashChallenge` is the sequence, `challenge_safety`
proves it soft, `fit_response` fits what was seen, `judge_response` says what that proves. See docs/adr/0019.
"""

from pipeline.liveness.flash.challenge import FlashChallenge, Rgb
from pipeline.liveness.flash.geometry import Relief, relief
from pipeline.liveness.flash.regions import RegionMeter, RegionSample
from pipeline.liveness.flash.response import Response, fit_response
from pipeline.liveness.flash.safety import FlashSafety, challenge_safety, flash_safety
from pipeline.liveness.flash.session import Display, FlashSession
from pipeline.liveness.flash.verdict import FlashVerdict, judge_response

__all__ = [
    "Display",
    "FlashChallenge",
    "FlashSafety",
    "FlashSession",
    "FlashVerdict",
    "RegionMeter",
    "RegionSample",
    "Relief",
    "Response",
    "Rgb",
    "challenge_safety",
    "fit_response",
    "flash_safety",
    "judge_response",
    "relief",
]
