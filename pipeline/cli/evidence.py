"""``livegate evidence``: keys, what is kept, opening it, removing it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.cli.common import build_settings, emit, stderr, stdout
from pipeline.errors import StoreError, UsageError

if TYPE_CHECKING:
    from pipeline.evidence import Exported, PrivateKey, PurgeReport, Sealed

app = typer.Typer(
    help="Sealed evidence pictures: keys, list, export, purge.\n\n"
    "The gateway seals with a public key and can't open what it sealed. The private key belongs elsewhere.",
    no_args_is_help=True,
)

DatabaseOption = Annotated[
    str | None, typer.Option(help="SQLAlchemy URL of the gateway's database; the setting's if left out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="Its first line is the passphrase; LIVEGATE_EVIDENCE_PASSPHRASE or a prompt if left out.",
    ),
]


@app.command()
def keygen(
    private: Annotated[
        Path, typer.Option(help="New file for the private key: encrypted PEM, mode 600.")
    ] = Path("evidence-private.pem"),
    public: Annotated[Path, typer.Option(help="New file for the public key: PEM.")] = Path(
        "evidence-public.pem"
    ),
    passphrase_file: PassphraseOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Make a key pair, on the machine where evidence will be opened: not on the gateway's.

    Only the public file goes to the gateway, as LIVEGATE_EVIDENCE_PUBLIC_KEY. Without the private file and
    its passphrase nobody can ever open what is sealed, so keep a copy of both, apart from each other.
    """
    from pipeline.evidence import generate

    database = _database_file()
    if database is not None and database.parent.resolve() == private.absolute().parent.resolve():
        raise UsageError(
            "the private key would lie in the folder of the gateway's database",
            hint="Make the keys on another machine, or name a folder on a medium that you take away.",
        )
    key = generate(private, public, _passphrase(passphrase_file, confirm=True))
    gateway_here = database is not None and database.is_file()
    if gateway_here:
        stderr.print("This machine has a gateway's database: move the private key away from it.")
    if json_lines:
        emit(
            {
                "event": "keygen",
                "key_id": key.key_id,
                "private": str(private),
                "public": str(public),
                "gateway_database_here": gateway_here,
            }
        )
        return
    stdout.print(f"key {key.key_id}", highlight=False)
    stdout.print(
        f"private: {private}  stays where evidence is opened, never on the gateway",
        markup=False,
        soft_wrap=True,
    )
    stdout.print(f"public:  {public}  goes to the gateway", markup=False, soft_wrap=True)


@app.command("list")
def list_command(database: DatabaseOption = None, json_lines: JsonOption = False) -> None:
    """Show what is kept: ids, times, retention, sizes. Nothing is opened, no key is needed."""
    from pipeline.evidence import list_records, open_records

    store = open_records(build_settings(database=database).database)
    try:
        records = list_records(store)
    finally:
        store.close()
    now = time.time()
    rows = [record.as_dict(now=now) for record in records]
    if json_lines:
        for row in rows:
            emit({"event": "evidence", **row})
        return
    columns = ("id", "created_at", "expires_at", "bytes", "key_id", "request_id")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column == "bytes" else "left")
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns), style="yellow" if row["due"] else None)
    stdout.print(table)
    due = sum(bool(row["due"]) for row in rows)
    stderr.print(f"{len(rows)} kept, {due} past the retention", highlight=False)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder for the files; made with mode 700 where it is missing.")],
    key: Annotated[
        list[Path] | None, typer.Option(help="Private key; several after a change of keys.")
    ] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Only this record; several allowed.")] = None,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Write the boxes unopened, to carry them to the private key.")
    ] = False,
    source: Annotated[
        Path | None, typer.Option("--from", help="Open boxes of this folder instead of a database.")
    ] = None,
    passphrase_file: PassphraseOption = None,
    database: DatabaseOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Open sealed pictures with the private key, where that key lives.

    Writes ID.jpg and ID.json (consent reference, times, SHA-256). On the gateway's machine use --sealed,
    carry the folder over, and open it there with --key and --from. Status 6 where a record that was named
    could not be exported, or any is damaged or in the way of an older file.
    """
    from pipeline.evidence import (
        export_opened,
        export_sealed,
        list_records,
        open_records,
        read_database,
        read_files,
        read_private_key,
    )

    if sealed == bool(key):
        raise UsageError("give either --key to open, or --sealed to carry", hint="See --help.")
    if source is not None and (sealed or database is not None):
        raise UsageError("--from opens boxes of a folder: leave --sealed and --database out")
    keys: list[PrivateKey] = []
    if key:
        passphrase = _passphrase(passphrase_file)
        keys = [read_private_key(path, passphrase) for path in key]
    wanted = list(dict.fromkeys(ids or ()))

    def run(found: Iterable[Sealed]) -> list[Exported]:
        return list(export_sealed(found, out) if sealed else export_opened(found, keys, out, now=time.time()))

    if source is not None:
        done = run(box for box in read_files(source) if not wanted or box.id in wanted)
    else:
        store = open_records(build_settings(database=database).database)
        try:
            done = run(read_database(store, wanted or [record.id for record in list_records(store)]))
        finally:
            store.close()
    _show_exported(done, wanted, keys, out, json_lines)


@app.command()
def purge(
    consent: Annotated[
        str | None, typer.Option(help="Every record under this consent reference, whatever its retention.")
    ] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="This record; several allowed.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    database: DatabaseOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Remove what is past its retention, and search the database's bytes for what is left of it.

    Status 6 where the search found a piece, or could not prove anything on SQLite. Other databases can't be
    searched: the report says so. Run it daily.
    """
    from pipeline.evidence import consent_digest, open_records
    from pipeline.evidence import purge as purge_records
    from pipeline.gateway import open_authority

    if consent is not None and ids:
        raise UsageError("give --consent or --id, not both")
    url = build_settings(database=database).database
    store = open_records(url)
    try:
        digest = None
        if consent is not None:
            store.close()
            authority = open_authority(url)
            store, digest = authority.store, consent_digest(authority.vault, consent)
        report = purge_records(store, now=time.time(), consent_digest=digest, ids=ids or (), dry_run=dry_run)
        searchable = store.path is not None
    finally:
        store.close()
    _show_purged(report, json_lines)
    if report.proof == "traces" or (report.proof == "unproven" and searchable):
        raise typer.Exit(6)


def _show_exported(
    done: Sequence[Exported], wanted: Sequence[str], keys: Sequence[PrivateKey], out: Path, json_lines: bool
) -> None:
    missing = [record for record in wanted if record not in {result.id for result in done}]
    for result in done:
        if json_lines:
            emit({"event": "export", **result.as_dict()})
        elif result.state != "other_key" or wanted:
            stdout.print(f"{result.id}  {result.state}  {result.detail}", markup=False, highlight=False)
    for record in missing:
        if json_lines:
            emit({"event": "export", "id": record, "state": "missing", "detail": "there is no such record"})
        else:
            stdout.print(f"{record}  missing", markup=False, highlight=False)
    count = Counter(result.state for result in done)
    stderr.print(
        f"{count['exported']} exported to {out}, {len(done) - count['exported']} not, {len(missing)} missing",
        markup=False,
        highlight=False,
    )
    if keys and done and count["other_key"] == len(done):
        details = sorted({result.detail for result in done})
        raise StoreError(
            f"none of these records opens with key {', '.join(key.key_id for key in keys)}: "
            + "; ".join(details),
            hint="Give the private key with that id: --key may be given several times.",
        )
    named = count["other_key"] + count["expired"] if wanted else 0
    if missing or named or count["damaged"] or count["exists"]:
        raise typer.Exit(6)


def _show_purged(report: PurgeReport, json_lines: bool) -> None:
    if json_lines:
        emit({"event": "purge", **report.as_dict()})
        return
    verb = "would go" if report.proof == "dry_run" else "removed"
    for record in report.removed:
        stdout.print(f"{record}  {verb}", highlight=False)
    stdout.print(f"{len(report.removed)} {verb} ({report.bytes} bytes), {report.kept} kept", highlight=False)
    if report.proof in ("clean", "traces", "unproven"):
        stdout.print(_proof_sentence(report), highlight=False, soft_wrap=True)
        stdout.print("Not shown by this:", highlight=False)
        for phrase in report.not_shown:
            stdout.print(f"  - {phrase}", highlight=False, soft_wrap=True)


def _proof_sentence(report: PurgeReport) -> str:
    if not report.searched:
        return "Not proved: the files of this kind of database can't be searched from here."
    files = ", ".join(f"{name} ({size} bytes)" for name, size in report.searched)
    where = f"searched {files} for {report.pieces} pieces of the ciphertext"
    if report.proof == "traces":
        return f"NOT GONE: {where} and found some of {', '.join(report.traces)}. Run the purge again."
    if report.proof == "unproven":
        return f"Not proved: the search found only {report.found_before} of them before they were removed."
    return (
        f"Proved: {where}; before the removal it found all {report.found_before} records, now none. "
        f"A run of more than {report.longest_unseen} bytes would have been seen."
    )


def _passphrase(path: Path | None, *, confirm: bool = False) -> str:
    from pipeline.evidence import PASSPHRASE_VARIABLE, read_passphrase

    found = read_passphrase(path)
    if found is not None:
        return found
    if not sys.stdin.isatty():
        raise UsageError(
            "the private key needs a passphrase", hint=f"Set {PASSPHRASE_VARIABLE} or give --passphrase-file."
        )
    asked: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked


def _database_file() -> Path | None:
    """The SQLite file of the settings, whether it is there or not."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(build_settings().database)
    except ArgumentError:
        return None
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database).absolute()
