"""Cues over time that were measured and are not in the product; see docs/adr/0018-motion-cues.md.

Each module holds one of them, as it would run in the gate: incremental, vectorised, with a bound on its cost.
`benchmarks.pad_motion_cues` measures them on clips, on sequences of stills and on rendered scenes.
"""
