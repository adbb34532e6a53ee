"""Model files and onnxruntime sessions, made in one place.

`open_store` gives the cache, `ModelStore.path` a checked file in it, `make_session` a session of that file;
`list_models`, `pull` and `verify` are what `livegate models` does.
"""

from pipeline.nets.manifest import (
    GROUPS,
    InputSpec,
    Manifest,
    ModelSpec,
    OutputSpec,
    Source,
    load_manifest,
    manifest_path,
)
from pipeline.nets.progress import SILENT, Progress
from pipeline.nets.provider import PROVIDERS, ProviderCheck, choose_providers
from pipeline.nets.pull import ModelStatus, list_models, pull, verify
from pipeline.nets.session import check_provider, make_session
from pipeline.nets.store import ModelStore, open_store

__all__ = [
    "GROUPS",
    "PROVIDERS",
    "SILENT",
    "InputSpec",
    "Manifest",
    "ModelSpec",
    "ModelStatus",
    "ModelStore",
    "OutputSpec",
    "Progress",
    "ProviderCheck",
    "Source",
    "check_provider",
    "choose_providers",
    "list_models",
    "load_manifest",
    "make_session",
    "manifest_path",
    "open_store",
    "pull",
    "verify",
]
