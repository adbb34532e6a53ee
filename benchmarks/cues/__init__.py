"""Cues that did not earn a place in the gate, kept so that their measurement can be repeated."""
