"""Ways in: a gateway from a database URL, an access key for it, and both at once for this very process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.errors import StoreError
from pipeline.gateway.access import KeyGrant, grant_access_key
from pipeline.gateway.authority import Authority, is_claimed
from pipeline.gateway.core import Gateway
from pipeline.gateway.faces import Embedder, NetEmbedder
from pipeline.gateway.inprocess import IN_PROCESS_URL, InProcessTransport
from pipeline.gateway.options import GatewayOptions
from pipeline.gateway.store import Store
from pipeline.gateway.vault import KEY_VARIABLE, Vault, create_master_key, read_master_key
from pipeline.nets import open_store
from pipeline.protocol.signing import AccessKey
from pipeline.vision.vision import ModelPaths

if TYPE_CHECKING:
    from pipeline.settings import Settings

KEY_FILE_VARIABLE: Final = "LIVEGATE_AUTHORITY_KEY_FILE"
"""Environment variable with the path of the master key's file: a line of any words, the key in the next."""


def open_authority(database_url: str, *, key_file: Path | None = None) -> Authority:
    """Open the authority's database: made, migrated and given a master key where it is new.

    Args:
        database_url: SQLAlchemy URL.
        key_file: file with the master key; the one that ``LIVEGATE_AUTHORITY_KEY_FILE`` names, or else beside
            a SQLite database (``authority.key``) if left out. The variable ``LIVEGATE_AUTHORITY_KEY`` goes
            before all of them.

    Raises:
        StoreError: the database or its key can't be used, or is missing where it must exist.
    """
    store = Store(database_url)
    try:
        if key_file is None and (named := os.environ.get(KEY_FILE_VARIABLE)):
            key_file = Path(named)
        if key_file is None and store.path is not None:
            key_file = store.path.with_suffix(".key")
        # Asked before the key is read: another first start writes the key file and then claims the database.
        claimed = is_claimed(store)
        master = read_master_key(key_file)
        if master is None:
            if claimed:
                raise StoreError(
                    "the authority's key is missing, and this database can't be read without it",
                    hint=f"Bring the key file back, or set {KEY_VARIABLE}.",
                )
            if key_file is None:
                raise StoreError(
                    "this database needs a key that is kept elsewhere",
                    hint=f"Set {KEY_VARIABLE} to base64 of 32 bytes, or {KEY_FILE_VARIABLE} to a path.",
                )
            master = create_master_key(key_file)
        return Authority(store, Vault(master))
    except BaseException:
        store.close()
        raise


def open_gateway(
    database_url: str,
    *,
    embedder: Embedder | None = None,
    models: ModelPaths | Mapping[str, Path] | None = None,
    key_file: Path | None = None,
    options: GatewayOptions | None = None,
) -> Gateway:
    """A gateway over a database. The nets are loaded with the first picture, or by `Gateway.embedder`.

    Args:
        database_url: SQLAlchemy URL.
        embedder: an embedder of your own in place of the nets.
        models: a model store, or model names to paths; the user's cache if left out.
        key_file: as in `open_authority`.
        options: how to answer.

    Raises:
        StoreError: the database, its key or Redis can't be used.
    """
    load = _once(lambda: embedder or NetEmbedder(open_store() if models is None else models))
    authority = open_authority(database_url, key_file=key_file)
    try:
        return Gateway(authority, load, options=options)
    except BaseException:
        authority.store.close()
        raise


def ensure_access_key(
    gateway: Gateway, *, imported: AccessKey | None = None, path: Path | None = None
) -> KeyGrant:
    """Make sure that the gateway has an access key.

    Args:
        gateway: whose key.
        imported: id and secret to use, from the environment for instance.
        path: file for a key of our making, mode 600; beside a SQLite database (``authority.access_key.json``)
            if left out.

    Raises:
        StoreError: no path where one is needed, or a file that can't be read or written.
    """
    database = gateway.authority.store.path
    if path is None and database is not None:
        path = database.with_suffix(".access_key.json")
    return grant_access_key(gateway.access_keys, path, now=time.time(), imported=imported)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A gateway in this process, ready for a client. Closing the transport closes it.

    Attributes:
        url: base URL for the client; nothing can resolve it.
        transport: httpx transport that reaches the gateway.
        key_id: access key id.
        key_secret: its secret, in no repr.
        gateway: the gateway itself.
    """

    url: str
    transport: InProcessTransport
    key_id: str
    key_secret: str = field(repr=False)
    gateway: Gateway


def embedded(settings: Settings, *, options: GatewayOptions | None = None) -> Embedded:
    """The embedded gateway over the database of the settings, with its access key.

    Raises:
        StoreError: the database, its key or the access key can't be used.
        ModelError: a model file of the embedder is missing.
    """
    models = open_store(settings.models_dir, offline=settings.offline)
    gateway = open_gateway(settings.database, models=models, options=options)
    try:
        _ = gateway.embedder
        key = ensure_access_key(gateway, imported=imported_key(settings)).key
    except BaseException:
        gateway.close()
        raise
    return Embedded(IN_PROCESS_URL, InProcessTransport(gateway), key.key_id, key.secret, gateway)


def imported_key(settings: Settings) -> AccessKey | None:
    """The access key of the settings (``LIVEGATE_ACCESS_KEY_ID`` and ``..._SECRET``), where both are set."""
    if settings.access_key_id is None or settings.access_key_secret is None:
        return None
    return AccessKey(settings.access_key_id.get_secret_value(), settings.access_key_secret.get_secret_value())


def _once(load: Callable[[], Embedder]) -> Callable[[], Embedder]:
    """Call it the first time only, whichever thread comes first."""
    lock = threading.Lock()
    loaded: list[Embedder] = []

    def get() -> Embedder:
        with lock:
            if not loaded:
                loaded.append(load())
            return loaded[0]

    return get
