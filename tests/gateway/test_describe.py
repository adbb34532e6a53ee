"""The description of the RPC: every code of every table, and the sizes and constants that the code checks."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import Any

import pytest

import pipeline.gateway
import pipeline.protocol.codes as codes
from pipeline.gateway import GatewayOptions
from pipeline.gateway.admission import REQUIRED
from pipeline.gateway.causes import CAUSES
from pipeline.gateway.operation.describe import describe
from pipeline.gateway.operation.watch import STAGES, stage_of
from pipeline.gateway.terms import METHODS
from pipeline.gateway.wire import Limits
from pipeline.protocol.codes import DETAILED_CODES, GatewayCode, UnifiedCode


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(describe(GatewayOptions(detailed_codes=True))))
    return found


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if "$ref" in value else set()
        return found.union(*(references(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(references(inner) for inner in value))
    return set()


def constants_of_the_package() -> set[tuple[str, int]]:
    """Every gateway code that any module of the gateway or of the protocol's tables holds."""
    names = [found.name for found in pkgutil.walk_packages(pipeline.gateway.__path__, "pipeline.gateway.")]
    modules = [codes, *(importlib.import_module(name) for name in names if ".migrations" not in name)]
    values = [value for module in modules for value in vars(module).values()]
    return {(value.code, value.http_status) for value in values if isinstance(value, GatewayCode)}


def test_it_is_an_openapi_document_whose_references_resolve(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert set(document["info"]) >= {"title", "version"}
    for reference in references(document):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert isinstance(place, dict)
    operations = [call for path in document["paths"].values() for call in path.values()]
    for call in operations:
        assert call["responses"]
        assert all(response["description"] for response in call["responses"].values())
    ids = [call["operationId"] for call in operations if "operationId" in call]
    assert len(ids) == len(set(ids)) == 2


def test_every_code_is_listed(document: dict[str, Any]) -> None:
    assert {row["code"] for row in document["x-unified-codes"]} == {int(code) for code in UnifiedCode}
    detailed = {row["resultCodeSub"]: row for row in document["x-detailed-codes"]}
    assert set(detailed) == set(DETAILED_CODES)
    for sub_code, row in detailed.items():
        assert row["resultMsgSub"] == DETAILED_CODES[sub_code].message
        assert row["code"] == int(DETAILED_CODES[sub_code].unified)
        assert row["cause"] == CAUSES[sub_code]
    told = {(row["code"], row["status"]) for row in document["x-gateway-codes"]}
    assert told >= constants_of_the_package()
    assert told >= {(f"Missing{name}", 400) for name in REQUIRED}
    words = {row["code"] for row in document["x-gateway-codes"]}
    assert set(document["components"]["schemas"]["Refusal"]["properties"]["Code"]["enum"]) == words
    for row in document["x-gateway-codes"]:
        assert row["stage"] in STAGES
        for verb in ("get", "post"):
            assert row["code"] in document["paths"]["/"][verb]["responses"][str(row["status"])]["description"]


def test_all_methods_and_both_forms_are_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    public = schemas["PublicParameters"]
    assert set(public["required"]) == set(REQUIRED)
    assert set(public["properties"]) == {*REQUIRED, "Format"}
    text = public["properties"]["ServiceParameters"]
    assert [entry["$ref"].rsplit("/")[-1] for entry in text["contentSchema"]["oneOf"]] == list(METHODS)
    for method in METHODS:
        assert schemas[method]["properties"]["method"] == {"const": method}
    in_query = {
        entry["name"] for entry in document["paths"]["/"]["get"]["parameters"] if entry["in"] == "query"
    }
    assert in_query == set(public["properties"])
    for verb in ("get", "post"):
        for response in document["paths"]["/"][verb]["responses"].values():
            assert set(response["content"]) == {"application/json", "text/xml"}


def test_sizes_and_the_switch_come_from_the_options() -> None:
    plain = describe(GatewayOptions(limits=Limits(body=12_345)))
    assert "12345 bytes" in plain["info"]["description"]
    data = plain["components"]["schemas"]["Answer"]["properties"]["Data"]["properties"]
    assert "resultCodeSub" not in data
    detailed = describe(GatewayOptions(detailed_codes=True))
    data = detailed["components"]["schemas"]["Answer"]["properties"]["Data"]["properties"]
    assert set(data["resultCodeSub"]["enum"]) == set(DETAILED_CODES)


@pytest.mark.storages("sqlite")
def test_answers_of_the_gateway_are_as_described(caller: Any, kit: Any, document: dict[str, Any]) -> None:
    answer = json.loads(caller.raw({"method": "query"}).body)
    schema = document["components"]["schemas"]["Answer"]
    assert set(schema["required"]) <= set(answer) <= set(schema["properties"])
    raw = caller.raw({"method": "query"}, Version="x")
    refusal = json.loads(raw.body)
    schema = document["components"]["schemas"]["Refusal"]
    assert set(schema["required"]) <= set(refusal) <= set(schema["properties"])
    assert {"code": refusal["Code"], "status": raw.status}.items() <= next(
        row for row in document["x-gateway-codes"] if row["code"] == refusal["Code"]
    ).items()


def test_each_stage_can_be_reached_by_a_code() -> None:
    by_code = {stage_of(row["code"]) for row in describe(GatewayOptions())["x-gateway-codes"]}
    by_code |= {stage_of(str(int(code))) for code in UnifiedCode} | {
        stage_of("400", "Z1114"),
        "budget",
        "queue",
    }
    assert by_code == {"", *STAGES}
