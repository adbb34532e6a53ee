"""``livegate enroll`` and ``livegate serve``: the embedded authority and gateway."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from pipeline.cli.common import build_settings, emit, existing, stderr, stdout

DatabaseOption = Annotated[
    str | None,
    typer.Option(help="SQLAlchemy URL of the authority; SQLite in the user's data folder if left out."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")]


def enroll(
    people: Annotated[
        Path,
        typer.Argument(
            metavar="DIR_OR_CSV",
            help="Folder of NAME_CERTNUMBER.jpg or .png, or a CSV with the columns name, certNumber, path.",
        ),
    ],
    database: DatabaseOption = None,
    cert_check: Annotated[
        str | None,
        typer.Option(metavar="off|warn|strict", help="What a number with a wrong check digit leads to."),
    ] = None,
    duplicates: Annotated[
        str | None,
        typer.Option(
            metavar="off|warn|refuse",
            help="What a face that is likely enrolled under another number leads to.",
        ),
    ] = None,
    json_lines: JsonOption = False,
) -> None:
    """Enrol people with reference pictures. Good rows are enrolled, bad ones are listed with the reason.

    Names and numbers are kept as keyed digests, templates encrypted; pictures are not kept. Status 6 where a
    row was not enrolled.
    """
    from pipeline.gateway import Duplicates, open_gateway
    from pipeline.gateway import enroll as enroll_people
    from pipeline.nets import open_store
    from pipeline.protocol.cert_number import CertCheck

    existing(people)
    settings = build_settings(database=database, cert_check=cert_check, duplicates=duplicates)
    models = open_store(settings.models_dir, offline=settings.offline)
    gateway = open_gateway(settings.database, models=models)
    try:
        hidden = json_lines or not stderr.is_terminal
        with Progress(console=stderr, transient=True, disable=hidden) as bar:
            task = bar.add_task("enrolling", total=None)
            report = enroll_people(
                people,
                gateway.authority,
                gateway.embedder,
                cert_check=CertCheck(settings.cert_check),
                duplicates=Duplicates(settings.duplicates),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    finally:
        gateway.close()
    if json_lines:
        emit(report.as_dict())
    else:
        stdout.print(f"{report.enrolled} enrolled, {len(report.failed)} not", highlight=False)
        for row in report.rows:
            if told := row.duplicate_sentence or row.sentence or row.warning:
                stdout.print(
                    f"  row {row.ordinal} ({row.masked_number}): {told}", markup=False, highlight=False
                )
    if report.failed:
        raise typer.Exit(6)


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; other than loopback needs TLS in front.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 for a free one.")] = 8080,
    database: DatabaseOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; 1 if left out.")] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Loopback port for health, readiness, metrics; 9464 if left out, a free one with --port 0.",
        ),
    ] = None,
    log_form: Annotated[
        str | None, typer.Option(metavar="json|console", help="Form of the log on standard error.")
    ] = None,
    json_lines: JsonOption = False,
) -> None:
    """Serve the face_verify protocol over the embedded authority until interrupted.

    At the first start an access key is made; its file is named, its secret is never printed.
    LIVEGATE_ACCESS_KEY_ID and LIVEGATE_ACCESS_KEY_SECRET bring one of your own instead. SIGTERM and Ctrl-C
    answer what was accepted, then end; the part `serve` of livegate.toml says how long that may take.
    """
    from pipeline.gateway import ensure_access_key, imported_key
    from pipeline.gateway import serve as serve_gateway
    from pipeline.gateway.workers import serve_workers
    from pipeline.service import serve_options, serving_gateway

    flags = {"workers": workers, "admin_port": admin_port, "log_form": log_form}
    settings = build_settings(
        database=database, serve={name: value for name, value in flags.items() if value is not None} or None
    )
    verbose = logging.getLogger("livegate").isEnabledFor(logging.DEBUG)
    options = serve_options(settings)
    if port == 0 and options.admin_port is not None and "admin_port" not in settings.serve.model_fields_set:
        options = replace(options, admin_port=0)  # who wants any free port wants two of them
    gateway = serving_gateway(settings, verbose=verbose)
    try:
        grant = ensure_access_key(gateway, imported=imported_key(settings))
    except BaseException:
        gateway.close()
        raise

    def ready(url: str, admin_url: str | None) -> None:
        if json_lines:
            path = str(grant.path) if grant.path else None
            emit({"event": "listening", "url": url, "admin_url": admin_url, "access_key_file": path})
            return
        stdout.print(f"listening at {url}", highlight=False)
        if admin_url is not None:
            stdout.print(f"health, readiness and metrics at {admin_url}", highlight=False)
        where = f"in {grant.path}" if grant.path else "of the environment"
        stdout.print(f"access key {where}; stop with Ctrl-C", markup=False, highlight=False)

    if settings.serve.workers == 1:
        serve_gateway(gateway, host, port, options=options, ready_callback=ready)
        return
    gateway.close()  # it made or checked database, key and access key; each worker opens its own
    opening = partial(serving_gateway, settings, verbose=verbose)
    serve_workers(opening, host, port, workers=settings.serve.workers, options=options, ready_callback=ready)
