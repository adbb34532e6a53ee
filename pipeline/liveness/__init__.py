"""Evidence of life over time and the decision that mints a pass."""

from pipeline.liveness.livepass import LivePass

__all__ = ["LivePass"]
