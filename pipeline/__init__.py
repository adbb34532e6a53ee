"""livegate: on-device face liveness first, identity verification only for a frame that passed.

```python
from pipeline import Gate, Settings, open_source

with Gate(Settings(mode="liveness")) as gate:
    result = gate.check(open_source("clip.mp4"))
```

Names are loaded at first use, so that ``livegate --help`` need not wait for OpenCV and onnxruntime.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.camera import Frame, Source, SourceOptions, SyntheticSource, open_source
    from pipeline.cameras import Cameras
    from pipeline.errors import ClientCode, LivegateError
    from pipeline.gate import Gate
    from pipeline.liveness.flash import Display
    from pipeline.match.person import Person
    from pipeline.reasons import Reason
    from pipeline.result import Guidance, LivenessResult, MatchOutcome, Result, UploadInterrupted
    from pipeline.settings import Settings

__version__ = "0.1.0"

# onnxruntime 1.29 and later reports its use to its maker over HTTPS and keeps a device id in the home folder,
# unless this is set before it is first imported. Nothing but what a check sends may leave this process.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_HOMES = {
    "Cameras": "pipeline.cameras",
    "ClientCode": "pipeline.errors",
    "Display": "pipeline.liveness.flash",
    "Frame": "pipeline.camera",
    "Gate": "pipeline.gate",
    "Guidance": "pipeline.result",
    "LivegateError": "pipeline.errors",
    "LivenessResult": "pipeline.result",
    "MatchOutcome": "pipeline.result",
    "Person": "pipeline.match.person",
    "Reason": "pipeline.reasons",
    "Result": "pipeline.result",
    "Settings": "pipeline.settings",
    "Source": "pipeline.camera",
    "SourceOptions": "pipeline.camera",
    "SyntheticSource": "pipeline.camera",
    "UploadInterrupted": "pipeline.result",
    "open_source": "pipeline.camera",
}

__all__ = [
    "Cameras",
    "ClientCode",
    "Display",
    "Frame",
    "Gate",
    "Guidance",
    "LivegateError",
    "LivenessResult",
    "MatchOutcome",
    "Person",
    "Reason",
    "Result",
    "Settings",
    "Source",
    "SourceOptions",
    "SyntheticSource",
    "UploadInterrupted",
    "open_source",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    """So that ``help`` and completion know the names before they are loaded."""
    return sorted({*globals(), *__all__})
