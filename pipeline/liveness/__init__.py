"""Evidence of life over time and the decision that mints a pass."""
