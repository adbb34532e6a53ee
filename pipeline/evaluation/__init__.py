"""Reports on labelled data: `evaluate_pad` after ISO/IEC 30107-3, `evaluate_match` after ISO/IEC 19795-1.

The measures are pure functions in `metrics`, `comparison`, `curve` and `intervals`. Needs the extra ``eval``.
"""

from pipeline.evaluation.compare import Comparison, compare
from pipeline.evaluation.compared import Embedder, ProductEmbedder
from pipeline.evaluation.folder import Progress, Report
from pipeline.evaluation.manifest import read_manifest, read_pairs, read_paths
from pipeline.evaluation.match import evaluate_match
from pipeline.evaluation.outcomes import Scorer, ScoreRecord
from pipeline.evaluation.pad import evaluate_pad

__all__ = [
    "Comparison",
    "Embedder",
    "ProductEmbedder",
    "Progress",
    "Report",
    "ScoreRecord",
    "Scorer",
    "compare",
    "evaluate_match",
    "evaluate_pad",
    "read_manifest",
    "read_pairs",
    "read_paths",
]
