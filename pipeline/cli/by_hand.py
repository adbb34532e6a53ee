"""``livegate match``, ``init`` and ``query``: the protocol by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.common import build_settings, emit, existing, stderr, stdout

if TYPE_CHECKING:
    from pipeline.match.client import MatchClient
    from pipeline.match.person import Person

NameOption = Annotated[str, typer.Option(help="The person's name.")]
CertOption = Annotated[str, typer.Option(help="The person's ID number.")]
EndpointOption = Annotated[
    str | None, typer.Option(help="The face_verify service. Left out: the embedded gateway, in this process.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")]


def match(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture of a face.")],
    name: NameOption,
    cert_number: CertOption,
    endpoint: EndpointOption = None,
    consent: Annotated[str, typer.Option(help="Reference under which the person agreed.")] = "by-hand",
    json_lines: JsonOption = False,
) -> None:
    """Send a picture as method=match, by hand.

    The picture was not judged by the gate: nothing is said about who held it before a camera. Pictures are
    encoded anew, without EXIF, within the service's limits.
    """
    from pipeline.match.by_hand import HandPicture, match_by_hand
    from pipeline.match.outcome import unknown

    person = _person(name, cert_number)
    picture = HandPicture.read(existing(image))
    with _client(endpoint) as client:
        with _told(json_lines):
            try:
                result = match_by_hand(client, person, picture, consent)
            except KeyboardInterrupt:
                raise unknown() from None
        _show(
            {"event": "match", "code": result.code, "score": result.score, "request_id": result.request_id},
            json_lines,
        )


def init(
    name: NameOption,
    cert_number: CertOption,
    metainfo: Annotated[
        str, typer.Option(help="The client's metainfo, a JSON object.")
    ] = '{"appName":"livegate","deviceType":"pc"}',
    endpoint: EndpointOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Begin a check as method=init; prints queryId and bizId."""
    person = _person(name, cert_number)
    with _client(endpoint) as client:
        with _told(json_lines):
            result = client.init(person, metainfo)
        _show(
            {
                "event": "init",
                "code": 200,
                "queryId": result.query_id,
                "bizId": result.biz_id,
                "request_id": result.request_id,
            },
            json_lines,
        )


def query(
    query_id: Annotated[str, typer.Option(help="queryId of the init.")],
    biz_id: Annotated[str, typer.Option(help="bizId of the init.")],
    image: Annotated[
        Path | None, typer.Option(help="Ask for the check's picture and write it to this file.")
    ] = None,
    endpoint: EndpointOption = None,
    json_lines: JsonOption = False,
) -> None:
    """Ask for a check's outcome as method=query."""
    with _client(endpoint) as client:
        with _told(json_lines):
            result = client.query(query_id, biz_id, return_image=image is not None)
        told = {"event": "query", "code": result.code, "request_id": result.request_id}
        if image is not None:
            told["image"] = result.image is not None
            if result.image is not None:
                image.touch(mode=0o600)
                image.write_bytes(result.image)
        _show(told, json_lines)


def _person(name: str, cert_number: str) -> Person:
    """The person, with the number's check digit looked at as the settings say."""
    from pipeline.match.person import Person
    from pipeline.protocol.cert_number import CertCheck

    person = Person(name, cert_number)
    person.check_cert_number(CertCheck(build_settings().cert_check))
    return person


@contextmanager
def _client(endpoint: str | None) -> Iterator[MatchClient]:
    from pipeline.service import connect

    with connect(build_settings(mode="verify", endpoint=endpoint)) as client:
        yield client


@contextmanager
def _told(json_lines: bool) -> Iterator[None]:
    """A refusal is an answer too: show its code, then end with the status of its kind."""
    from pipeline.errors import GatewayError, ServiceError

    try:
        yield
    except (GatewayError, ServiceError) as error:
        code = error.service_code if isinstance(error, ServiceError) else error.gateway_code
        record = {"event": "refused", "code": code, "message": error.message, "request_id": error.request_id}
        _show(record, json_lines)
        stderr.print(error.hint, markup=False, highlight=False)
        raise typer.Exit(error.client_code.exit_status) from None


def _show(record: dict[str, Any], json_lines: bool) -> None:
    if json_lines:
        emit(record)
    else:
        stdout.print(
            "  ".join(f"{key} {value}" for key, value in record.items() if key != "event"), markup=False
        )
