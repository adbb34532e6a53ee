"""livegate: on-device face liveness first, identity verification only for a frame that passed."""

__version__ = "0.1.0"
