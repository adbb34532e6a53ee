"""`describe`: the RPC as an OpenAPI 3.1 document, made from the tables that the code answers with.

OpenAPI knows one operation for a path and method. All three methods of the service are one operation:
``method`` inside the JSON text ``ServiceParameters`` tells them apart; the document says so with
``contentSchema``.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from pipeline.gateway import params
from pipeline.gateway.admission import ECHOED_LENGTH, REQUIRED, TIMESTAMP_WINDOW_S
from pipeline.gateway.causes import CAUSES
from pipeline.gateway.fields import METAINFO_LENGTH
from pipeline.gateway.operation.watch import stage_of
from pipeline.gateway.options import GatewayOptions
from pipeline.gateway.service import CERT_NUMBER_LENGTH, NAME_LENGTH
from pipeline.gateway.terms import METHODS
from pipeline.protocol.attestation import ATTESTATION_HEADER, MAX_ATTESTATION
from pipeline.protocol.codes import (
    ACTION,
    DETAILED_CODES,
    GATEWAY_CODES,
    SERVICE,
    VERSION,
    GatewayCode,
    UnifiedCode,
    missing_parameter,
)
from pipeline.protocol.consent import CONSENT_HEADER, MAX_CONSENT
from pipeline.protocol.signing import HMAC_SHA1, SIGNATURE_VERSION

Schema = dict[str, Any]

_JSON: Final = "application/json"
_XML: Final = "text/xml"
_FORM: Final = "application/x-www-form-urlencoded"

_PUBLIC: Final[dict[str, Schema]] = {
    "Format": {"enum": ["JSON", "json", "XML", "xml"], "default": "XML", "description": "Of the answer."},
    "Version": {"const": VERSION},
    "AccessKeyId": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    "Signature": {
        "type": "string",
        "contentEncoding": "base64",
        "description": "HMAC over the string to sign: method, slash, and all other parameters in order.",
    },
    "SignatureMethod": {"const": HMAC_SHA1.method},
    "SignatureVersion": {"const": SIGNATURE_VERSION},
    "SignatureNonce": {"type": "string", "minLength": 1, "description": "Used once by a key."},
    "Timestamp": {
        "type": "string",
        "description": f"YYYY-MM-DDThh:mm:ssZ, UTC, at most {TIMESTAMP_WINDOW_S // 60} minutes off.",
    },
    "Action": {"const": ACTION},
    "Service": {"const": SERVICE},
    "ServiceParameters": {
        "type": "string",
        "contentMediaType": _JSON,
        "contentSchema": {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in METHODS]},
    },
}


def gateway_codes() -> list[GatewayCode]:
    """Every code that the gateway answers in place of the service, sorted by status and word."""
    own = [value for value in vars(params).values() if isinstance(value, GatewayCode)]
    missing = [missing_parameter(name) for name in REQUIRED]
    found = {(code.code, code.message): code for code in (*GATEWAY_CODES.values(), *own, *missing)}
    return sorted(found.values(), key=lambda code: (code.http_status, code.code, code.message))


def describe(options: GatewayOptions) -> dict[str, Any]:
    """The description of a gateway's surface.

    Args:
        options: how it answers: sizes and the form of its codes come from here.

    Returns:
        An OpenAPI 3.1 document, ready for JSON.
    """
    from pipeline import __version__

    return {
        "openapi": "3.1.0",
        "info": {
            "title": "livegate: the face_verify protocol",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": (
                "One signed RPC at the root path, by GET or POST. Parameters stand in the query, in a form "
                f"body, or in both, each of them once: at most {options.limits.fields}, the request line at "
                f"most {options.limits.target} characters, the body at most {options.limits.body} bytes. "
                "HTTP 200 carries an integer Code of the service, everything else a word of the gateway."
            ),
        },
        "servers": [{"url": "/"}],
        "security": [],
        "paths": {
            "/": {"get": _call("get"), "post": _call("post")},
            "/healthz": _page("The process lives.", {"200": _text("ok")}),
            "/readyz": _page(
                "Requests may be sent here.",
                {"200": _ready("All checks hold."), "503": _ready("A check failed, or it stops.")},
            ),
            "/openapi.json": _page("This document.", {"200": {"description": "It.", "content": {_JSON: {}}}}),
        },
        "components": {"schemas": _schemas(options)},
        "x-unified-codes": [
            {"code": int(code), "name": code.name, "message": code.message} for code in UnifiedCode
        ],
        "x-detailed-codes": [
            {
                "resultCodeSub": row.sub_code,
                "resultCode": str(row.result_code),
                "resultMsgSub": row.message,
                "explanation": row.explanation,
                "table": row.method,
                "code": int(row.unified),
                "cause": CAUSES[row.sub_code],
            }
            for row in DETAILED_CODES.values()
        ],
        "x-gateway-codes": [
            {
                "code": code.code,
                "status": code.http_status,
                "message": code.message,
                "stage": stage_of(code.code),
            }
            for code in gateway_codes()
        ],
    }


def _call(verb: str) -> dict[str, Any]:
    by_status: dict[int, list[GatewayCode]] = {}
    for code in gateway_codes():
        by_status.setdefault(code.http_status, []).append(code)
    responses: dict[str, Any] = {"200": _both("What the service answered.", "Answer")}
    for status, codes in by_status.items():
        words = ", ".join(dict.fromkeys(code.code for code in codes))
        responses[str(status)] = _both(f"{HTTPStatus(status).phrase}: {words}.", "Refusal")
    call: dict[str, Any] = {
        "operationId": f"executeRequest{verb.capitalize()}",
        "summary": f"{', '.join(METHODS)}: signed parameters in the "
        + ("query." if verb == "get" else "form body; some of them may stand in the query."),
        "parameters": [
            {
                "name": CONSENT_HEADER,
                "in": "header",
                "required": False,
                "description": "Percent-encoded reference of the person's consent to keep the picture.",
                "schema": {"type": "string", "minLength": 1, "maxLength": MAX_CONSENT * 12},
            },
            {
                "name": ATTESTATION_HEADER,
                "in": "header",
                "required": False,
                "description": "What the device says of the verification: a signed JWS, for match.",
                "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ATTESTATION},
            },
        ],
        "responses": responses,
    }
    if verb == "get":
        call["parameters"] += [
            {"name": name, "in": "query", "required": name in REQUIRED, "schema": schema}
            for name, schema in _PUBLIC.items()
        ]
    else:
        body = {"schema": {"$ref": "#/components/schemas/PublicParameters"}}
        call["requestBody"] = {"required": True, "content": {_FORM: body}}
    return call


def _schemas(options: GatewayOptions) -> dict[str, Schema]:
    identity: dict[str, Schema] = {
        "name": {"type": "string", "minLength": 1, "maxLength": NAME_LENGTH},
        "certNumber": {"type": "string", "minLength": 1, "maxLength": CERT_NUMBER_LENGTH},
    }
    query_id: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    pictures = options.pictures
    longest = (pictures.file_bytes + 2) // 3 * 4
    match = _object(
        {
            "method": {"const": "match"},
            **identity,
            "imgbase64": {
                "type": "string",
                "maxLength": longest,
                "contentEncoding": "base64",
                "description": f"JPEG or PNG, at most {pictures.file_bytes} bytes, {pictures.max_pixels} "
                f"pixels, shorter side at least {pictures.min_side}.",
            },
            "queryId": {**query_id, "description": "Session that this match finishes."},
        },
        ["method", "name", "certNumber", "imgbase64"],
    )
    init = _object(
        {
            "method": {"const": "init"},
            **identity,
            "metainfo": {
                "description": "A JSON object, as it is or as text.",
                "anyOf": [
                    {"type": "string", "maxLength": METAINFO_LENGTH, "contentMediaType": _JSON},
                    {"type": "object", "minProperties": 1},
                ],
            },
        },
        ["method", "name", "certNumber", "metainfo"],
    )
    query = _object(
        {
            "method": {"const": "query"},
            "bizId": {"type": "string", "minLength": 1},
            "queryId": query_id,
            "returnImage": {"enum": ["0", "1", "", 0, 1, None]},
        },
        ["method", "bizId", "queryId"],
    )
    public = _object(_PUBLIC, list(REQUIRED))
    # Further parameters are let through, and signed like all others.
    public["additionalProperties"] = {"type": "string"}
    return {
        "PublicParameters": public,
        "match": match,
        "init": init,
        "query": query,
        "Answer": _answer(options.detailed_codes),
        "Refusal": _object(
            {
                "RequestId": {"type": "string"},
                "HostId": {"type": "string"},
                "Code": {"enum": sorted({code.code for code in gateway_codes()})},
                "Message": {
                    "type": "string",
                    "description": "For SignatureDoesNotMatch it ends with the caller's own string to sign, "
                    f"up to {ECHOED_LENGTH} characters.",
                },
            },
            ["Code", "Message"],
            xml="Error",
        ),
        "Readiness": _object(
            {
                "ready": {"type": "boolean"},
                "checks": {"type": "object", "additionalProperties": {"enum": ["ok", "failed"]}},
            },
            ["ready", "checks"],
        ),
    }


def _answer(detailed: bool) -> Schema:
    data: dict[str, Schema] = {
        "score": {"type": "number", "minimum": 0, "maximum": 100, "description": "match"},
        "queryId": {"type": "string", "description": "init"},
        "bizId": {"type": "string", "description": "init"},
        "image": {"type": "string", "description": "query with returnImage: URL-safe base64 of a JPEG"},
    }
    if detailed:
        rows = DETAILED_CODES.values()
        data["resultCode"] = {"enum": sorted({str(row.result_code) for row in rows})}
        data["resultCodeSub"] = {"enum": [row.sub_code for row in rows]}
        data["resultMsgSub"] = {"enum": sorted({row.message for row in rows})}
    fields: dict[str, Schema] = {
        "Data": {"type": "object", "properties": data},
        "Message": {"type": "string"},
        "Code": {"enum": [int(code) for code in UnifiedCode]},
        "RequestId": {"type": "string"},
    }
    return _object(fields, ["Code", "Message", "RequestId"], xml="ExecuteRequestResponse")


def _object(properties: dict[str, Schema], required: list[str], *, xml: str | None = None) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    if xml is not None:
        schema["xml"] = {"name": xml}
    return schema


def _both(text: str, schema: str) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"description": text, "content": {_JSON: content, _XML: content}}


def _page(text: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": text, "responses": responses}}


def _text(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _ready(text: str) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Readiness"}}}}
