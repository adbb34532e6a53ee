"""``livegate keys``: who may ask the embedded gateway, and who is locked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.cli.common import build_settings, emit, stdout
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.gateway import AccessKeys, Authority, KeyRecord, Risk
    from pipeline.protocol.signing import AccessKey

app = typer.Typer(help="Access keys: list, add, rotate, revoke; locks: unlock.", no_args_is_help=True)

DAY_S = 24 * 3600
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")]
DatabaseOption = Annotated[
    str | None,
    typer.Option(help="SQLAlchemy URL of the authority; SQLite in the user's data folder if left out."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", help="New file for id and secret, mode 600; KEY_ID.access_key.json beside the database."
    ),
]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="As `livegate keys list` shows it.")]
COLOURS = {"valid": "green", "ending": "yellow", "closed": "yellow", "revoked": "red"}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the commands work on."""

    authority: Authority
    keys: AccessKeys
    risk: Risk


@app.command("list")
def list_command(database: DatabaseOption = None, json_lines: JsonOption = False) -> None:
    """Show every access key with its state and terms. Secrets are never shown."""
    with _desk(database) as desk:
        records = desk.keys.records()
    now = time.time()
    if json_lines:
        for record in records:
            emit(_shown(record, now))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("key", "state", "methods", "per second", "per day", "product ends", "key ends"):
        table.add_column(column, overflow="fold", no_wrap=column == "key")
    for record in records:
        shown = _shown(record, now)
        quota = record.terms.quota
        table.add_row(
            record.key_id,
            f"[{COLOURS[str(shown['state'])]}]{shown['state']}[/]",
            " ".join(sorted(record.terms.methods)),
            "-" if quota.per_second is None else str(quota.per_second),
            "-" if quota.per_day is None else str(quota.per_day),
            str(shown["product_ends"] or "-"),
            str(shown["key_ends"] or "-"),
        )
    stdout.print(table)


@app.command()
def add(
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="init, query or match; may be given several times; all if left out."),
    ] = None,
    per_second: Annotated[int | None, typer.Option(min=0, help="Most requests of one second.")] = None,
    per_day: Annotated[int | None, typer.Option(min=0, help="Most requests of one day, UTC.")] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Days until the product closes for it; never if left out.")
    ] = None,
    out: OutOption = None,
    database: DatabaseOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Make an access key. Its secret goes into a file and is never printed."""
    from pipeline.gateway.access import new_access_key
    from pipeline.gateway.terms import METHODS, KeyTerms, Quota

    now = time.time()
    ends_at = None if days is None else int(now) + days * DAY_S
    terms = KeyTerms(frozenset(methods or METHODS), ends_at, Quota(per_second, per_day))
    with _desk(database) as desk:
        key = new_access_key()
        with _key_file(desk, key, out) as path:
            desk.keys.put(key, now=now, terms=terms)
    _tell({"event": "key_added", "key_id": key.key_id, "file": str(path)}, json_lines)


@app.command()
def rotate(
    key_id: KeyArgument,
    overlap_days: Annotated[
        float, typer.Option(min=0, help="Days for which the old key lives on beside the new one.")
    ] = 7.0,
    out: OutOption = None,
    database: DatabaseOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Make the key that follows another one. Quota, sessions and terms stay; both are valid for a while."""
    from pipeline.gateway.access import new_access_key

    with _desk(database) as desk:
        key = new_access_key()
        with _key_file(desk, key, out) as path:
            desk.keys.rotate(key_id, now=time.time(), overlap_s=overlap_days * DAY_S, follower=key)
    _tell({"event": "key_rotated", "old": key_id, "key_id": key.key_id, "file": str(path)}, json_lines)


@app.command()
def revoke(key_id: KeyArgument, database: DatabaseOption = None, json_lines: JsonOption = False) -> None:
    """End a key at once, for good. Running servers refuse its next request."""
    with _desk(database) as desk:
        done = desk.keys.revoke(key_id, now=time.time())
    if not done:
        raise UsageError("the access key is unknown or was revoked before", hint="See `livegate keys list`.")
    _tell({"event": "key_revoked", "key_id": key_id}, json_lines)


@app.command()
def unlock(
    cert_number: Annotated[str | None, typer.Option(help="Certificate number of a locked person.")] = None,
    device_token: Annotated[str | None, typer.Option(help="apdidToken of a locked device.")] = None,
    device_model: Annotated[str, typer.Option(help="deviceModel of that device.")] = "",
    key_id: Annotated[str | None, typer.Option("--key", help="Id of a locked access key.")] = None,
    database: DatabaseOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Forget the failures of a person, a device or a key, after whoever asks for it was checked otherwise."""
    if cert_number is None and device_token is None and key_id is None:
        raise UsageError("nothing to unlock was named")
    done = {}
    with _desk(database) as desk:
        if cert_number is not None:
            done["person"] = desk.risk.unlock_person(cert_number)
        if device_token is not None:
            done["device"] = desk.risk.unlock_device(device_model, device_token)
        if key_id is not None:
            owners = {record.key_id: record.owner for record in desk.keys.records()}
            done["key"] = desk.risk.unlock_key(owners.get(key_id, key_id))
    _tell({"event": "unlocked", **done}, json_lines)


@app.command()
def audit(
    anchor: Annotated[
        str | None,
        typer.Option(metavar="ROWS:HASH", help="The end that an earlier check told; kept elsewhere."),
    ] = None,
    database: DatabaseOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Check the audit log's chain. Status 6 where a row was changed, removed, added or reordered."""
    from pipeline.gateway import verify_audit

    known = None if anchor is None else _read_anchor(anchor)
    with _desk(database) as desk:
        report = verify_audit(desk.authority.store, desk.authority.vault, anchor=known)
    _tell(
        {
            "event": "audit",
            "ok": report.ok,
            "rows": report.rows,
            "anchor": f"{report.rows}:{report.end}",
            "problem": report.problem,
        },
        json_lines,
    )
    if not report.ok:
        raise typer.Exit(6)


@contextlib.contextmanager
def _desk(database: str | None) -> Iterator[Desk]:
    from pipeline.gateway import AccessKeys, Risk, open_authority, open_shared
    from pipeline.service import redis_url

    settings = build_settings(database=database)
    with contextlib.ExitStack() as stack:
        authority = open_authority(settings.database)
        stack.callback(authority.store.close)
        shared = open_shared(authority, redis_url(settings))
        stack.callback(shared.close)
        keys = AccessKeys(authority.store, authority.vault)
        yield Desk(authority, keys, Risk(shared.counters, authority.vault))


@contextlib.contextmanager
def _key_file(desk: Desk, key: AccessKey, out: Path | None) -> Iterator[Path]:
    """Write the key's file before the key is stored, and take it away where that fails."""
    from pipeline.gateway.access import write_access_key

    database = desk.authority.store.path
    if out is None and database is None:
        raise UsageError("this database is no file: name a file for the key with --out")
    path = out or (database or Path()).with_name(f"{key.key_id}.access_key.json")
    if not write_access_key(path, key):
        raise UsageError("the file for the key exists; it was left as it is")
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _read_anchor(text: str) -> tuple[int, str]:
    rows, _, digest = text.partition(":")
    if not (rows.isascii() and rows.isdigit() and len(rows) < 19 and len(digest) == 64):
        raise UsageError("an anchor is ROWS:HASH, as `livegate keys audit` prints it")
    return int(rows), digest


def _shown(record: KeyRecord, now: float) -> dict[str, object]:
    state = "valid" if record.revoked_at is None else "ending"
    if not record.is_valid(now):
        state = "revoked"
    elif not record.is_open(now):
        state = "closed"
    return {
        "event": "key",
        "key_id": record.key_id,
        "owner": record.owner,
        "state": state,
        "methods": sorted(record.terms.methods),
        "per_second": record.terms.quota.per_second,
        "per_day": record.terms.quota.per_day,
        "created": _day(record.created_at),
        "product_ends": _day(record.terms.ends_at),
        "key_ends": _day(record.revoked_at),
    }


def _day(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tell(record: dict[str, object], json_lines: bool) -> None:
    if json_lines:
        emit(record)
        return
    for name, value in record.items():
        if name != "event" and value is not None:
            stdout.print(f"{name.replace('_', ' ')}: {value}", markup=False, highlight=False)
