"""Other ways to the same end, each in a Python and a process of its own, fed with the same frames."""

from benchmarks.peers.host import (
    PeerPlan,
    SharedFrames,
    Worker,
    WorkerError,
    plan_peers,
    plan_signers,
)

__all__ = ["PeerPlan", "SharedFrames", "Worker", "WorkerError", "plan_peers", "plan_signers"]
