"""Each detailed code of the reference is reached by its documented cause, detailed and unified."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import ModelMissingError, StoreError
from pipeline.gateway.causes import CAUSES
from pipeline.gateway.devices import DeviceRules, device_of, read_version
from pipeline.gateway.risk import FailureWindow, RiskPolicy
from pipeline.gateway.terms import KeyTerms
from pipeline.protocol.answers import Answer
from pipeline.protocol.codes import DETAILED_CODES, UnifiedCode

RULES = DeviceRules(
    types=frozenset({"ios", "android"}),
    refused_models=frozenset({"OLD"}),
    least_os={"ios": "9.0", "android": "5"},
    least_sdk="3.0.0",
)
PHONE = {
    "zimVer": "3.1",
    "deviceType": "ios",
    "osVersion": "12.1.4",
    "deviceModel": "M1",
    "apdidToken": "t",
}


class Scene:
    """A gateway with one enrolled person, strict device rules and a tight lock."""

    def __init__(self, make_caller: Any, kit: Any, **options: Any) -> None:
        self.kit = kit
        lock = RiskPolicy(FailureWindow(1, 100, 100), None, None)
        settings = {"devices": RULES, "risk": lock, "detailed_codes": True, **options}
        self.caller = make_caller(**settings)
        self.service = self.caller.gateway._service
        kit.enroll(self.caller, 1)

    def init(self, meta: Any = None, **changes: Any) -> Any:
        name, number = self.kit.name, self.kit.number
        text = json.dumps(PHONE | (meta or {})) if meta is None or isinstance(meta, dict) else meta
        fields = {"method": "init", "name": name, "certNumber": number, "metainfo": text, **changes}
        return self.caller.call({k: v for k, v in fields.items() if v is not None})

    def match(self, seed: int = 1, **more: Any) -> Any:
        fields = {"method": "match", "name": self.kit.name, "certNumber": self.kit.number}
        fields["imgbase64"] = self.kit.base64(self.kit.picture(seed))
        return self.caller.call(fields | more)

    def query(self, opened: Any = None, **changes: Any) -> Any:
        data = (opened or self.init()).data
        return self.caller.call(
            {"method": "query", "bizId": data["bizId"], "queryId": data["queryId"], **changes}
        )

    def finished(self, seed: int) -> Any:
        opened = self.init()
        self.match(seed, queryId=opened.data["queryId"])
        return self.query(opened)


def broken(error: Exception) -> Callable[..., Any]:
    def part(*_: object, **__: object) -> Any:
        raise error

    return part


def closed(scene: Scene) -> None:
    scene.caller.gateway.access_keys.set_terms("testid", KeyTerms(ends_at=0))


def break_part(scene: Scene, part: str, name: str, error: Exception | None = None) -> None:
    """One part of the service fails from now on, with an error of the tree or an unforeseen one."""
    setattr(getattr(scene.service, part), name, broken(error or StoreError("lost")))


def z8302(scene: Scene) -> Any:
    opened = scene.init()
    closed(scene)
    return scene.query(opened)


def z8399(scene: Scene) -> Any:
    opened = scene.init()
    break_part(scene, "_sessions", "find")
    return scene.query(opened)


def z1102(scene: Scene) -> Any:
    from pipeline.gateway import Identity

    scene.caller.gateway.authority.revoke(Identity.of(scene.kit.name, scene.kit.number), now=1.0)
    return scene.init()


def z1114(scene: Scene) -> Any:
    assert scene.init(name="another").sub_code == "Z8105"
    return scene.init()


def after(step: Callable[[Scene], None], then: Callable[[Scene], Any]) -> Callable[[Scene], Any]:
    def run(scene: Scene) -> Any:
        step(scene)
        return then(scene)

    return run


def no_net(scene: Scene) -> None:
    scene.service._embedder = broken(ModelMissingError("no file"))


REACHED: dict[str, Callable[[Scene], Any]] = {
    "Z8100": Scene.init,
    "Z8101": lambda scene: scene.init(name=None),
    "Z8102": after(closed, Scene.init),
    "Z8105": lambda scene: scene.init(name="another"),
    "Z8199": after(lambda s: break_part(s, "_authority", "find", RuntimeError("x")), Scene.init),
    "Z1108": lambda scene: scene.init({"deviceType": "watch"}),
    "Z1109": lambda scene: scene.init({"osVersion": "8.9.9"}),
    "Z1110": lambda scene: scene.init({"zimVer": "2.99"}),
    "Z1102": z1102,
    "Z1111": after(lambda s: break_part(s, "_risk", "attempt"), Scene.init),
    "Z1112": Scene.init,
    "Z1199": after(no_net, Scene.init),
    "Z5101": lambda scene: scene.init("*****"),
    "Z5102": lambda scene: scene.init({"osVersion": None}),
    "Z5103": lambda scene: scene.init({"osVersion": "newest"}),
    "Z5199": after(lambda s: break_part(s, "_sessions", "open"), Scene.init),
    "Z1114": z1114,
    "Z8300": lambda scene: scene.finished(1),
    "Z8301": lambda scene: scene.query(queryId="0" * 32),
    "Z8302": z8302,
    "Z8399": z8399,
    "Z1146": lambda scene: scene.finished(2),
    "Z5137": Scene.query,
}
MESSAGES = {
    "Z8100": "OK",
    "Z8300": "OK",
    "Z8101": "name不能为空",
    "Z5101": "metainfo不合法",
    "Z5102": "metainfo不合法",
    "Z5103": "metainfo不合法",
    "Z8102": "权限不足，服务未开通或已到期。",
    "Z8302": "权限不足，服务未开通或已到期。",
    "Z1114": "刷脸失败次数过多，请您稍后再试。",
}
"""``Message`` where it is not the code's own sentence; of faults it is the unified one."""


@pytest.fixture
def scene(make_caller: Any, kit: Any, request: pytest.FixtureRequest) -> Scene:
    code = request.node.callspec.params.get("code") if hasattr(request.node, "callspec") else None
    return Scene(make_caller, kit, suspended=code == "Z1112")


def test_every_code_has_a_cause_and_a_way_to_reach_it() -> None:
    assert set(CAUSES) == set(REACHED) == set(DETAILED_CODES)


@pytest.mark.parametrize("code", list(CAUSES))
def test_each_code_is_reached(scene: Scene, code: str) -> None:
    answer = REACHED[code](scene)
    detail = DETAILED_CODES[code]
    assert isinstance(answer, Answer)
    assert answer.code == detail.unified
    fault = detail.unified is UnifiedCode.SERVER_ERROR
    assert answer.message == MESSAGES.get(code, "内部服务器错误。" if fault else detail.message)
    told = {key: answer.data[key] for key in ("resultCode", "resultCodeSub", "resultMsgSub")}
    assert told == {"resultCode": detail.result_code, "resultCodeSub": code, "resultMsgSub": detail.message}
    assert set(answer.data) - set(told) == ({"queryId", "bizId"} if code == "Z8100" else set())


@pytest.mark.parametrize("code", list(CAUSES))
def test_unified_answers_tell_the_same_without_the_detail(make_caller: Any, kit: Any, code: str) -> None:
    scene = Scene(make_caller, kit, suspended=code == "Z1112", detailed_codes=False)
    answer = REACHED[code](scene)
    assert answer.code == DETAILED_CODES[code].unified
    assert not {"resultCode", "resultCodeSub", "resultMsgSub"} & set(answer.data)


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("Z8101", lambda scene: scene.match(imgbase64="AAAA")),
        ("Z8101", lambda scene: scene.match(queryId="x")),
        ("Z8102", after(closed, Scene.match)),
        ("Z8105", lambda scene: scene.match(name="another")),
        ("Z8199", after(lambda s: break_part(s, "_authority", "templates"), Scene.match)),
        ("Z1111", after(lambda s: break_part(s, "_risk", "attempt", RuntimeError("x")), Scene.match)),
        ("Z1112", Scene.match),
        ("Z1199", after(no_net, Scene.match)),
    ],
)
def test_match_shares_the_codes_of_init(scene: Scene, code: str, spoil: Any) -> None:
    answer = spoil(scene)
    assert (answer.code, answer.sub_code) == (DETAILED_CODES[code].unified, code)


def test_a_fault_in_query_of_any_kind_is_z8399(make_caller: Any, kit: Any, caplog: Any) -> None:
    scene = Scene(make_caller, kit)
    opened = scene.init()
    break_part(scene, "_sessions", "find", KeyError(kit.number))
    assert scene.query(opened).sub_code == "Z8399"
    assert kit.number not in caplog.text


def test_a_suspended_gateway_still_answers_query(make_caller: Any, kit: Any) -> None:
    scene = Scene(make_caller, kit)
    opened = scene.init()
    scene.service._suspended = True
    assert scene.query(opened).sub_code == "Z5137"
    assert scene.match().sub_code == "Z1112"


# sessions


def test_a_session_is_finished_once(make_caller: Any, kit: Any) -> None:
    scene = Scene(make_caller, kit, risk=RiskPolicy(None, None, None))
    opened = scene.init()
    assert scene.match(2, queryId=opened.data["queryId"]).code == 200
    assert scene.match(1, queryId=opened.data["queryId"]).code == 200
    assert scene.query(opened).sub_code == "Z1146"


def test_another_person_or_key_can_not_finish_a_session(make_caller: Any, kit: Any) -> None:
    from pipeline.protocol.signing import AccessKey

    scene = Scene(make_caller, kit, risk=RiskPolicy(None, None, None))
    kit.enroll(scene.caller, 2, "李四", "440524188001010014")
    opened = scene.init()
    wrong = scene.match(2, queryId=opened.data["queryId"], name="李四", certNumber="440524188001010014")
    assert wrong.message == "queryId不合法"
    mine, scene.caller.key = scene.caller.key, AccessKey("other", "secret")
    scene.caller.gateway.access_keys.put(scene.caller.key, now=scene.caller.now)
    assert scene.match(1, queryId=opened.data["queryId"]).code == 200
    scene.caller.key = mine
    assert scene.query(opened).sub_code == "Z5137"


# devices


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"deviceType": "IOS"}, None),
        ({"osVersion": "9"}, None),
        ({"osVersion": "10.0"}, None),
        ({"osVersion": "8.99"}, "Z1109"),
        ({"deviceType": "Android", "osVersion": "5.0.0"}, None),
        ({"deviceType": "Android", "osVersion": "4.4.4"}, "Z1109"),
        ({"zimVer": "3"}, None),
        ({"zimVer": "2.9.9"}, "Z1110"),
        ({"deviceType": "desktop"}, "Z1108"),
        ({"deviceModel": "OLD"}, "Z1108"),
        ({"deviceType": None}, "Z5102"),
        ({"deviceModel": ""}, "Z5102"),
        ({"zimVer": None}, "Z5102"),
        ({"deviceType": 5}, "Z5103"),
        ({"deviceModel": ["M1"]}, "Z5103"),
        ({"zimVer": "3." * 9 + "0"}, "Z5103"),
        ({"osVersion": "-1"}, "Z5103"),
        ({"osVersion": "１２"}, "Z5103"),
        ({"osVersion": " "}, "Z5103"),
        ({"zimVer": "9" * 5000}, "Z5103"),
    ],
)
def test_device_rules(changes: dict[str, Any], code: str | None) -> None:
    assert RULES.problem(PHONE | changes) == code


def test_rules_that_are_left_out_ask_nothing() -> None:
    assert DeviceRules().problem({"deviceType": 5, "osVersion": []}) is None


@pytest.mark.parametrize(
    ("meta", "device"),
    [
        ({}, None),
        ({"deviceModel": "M1"}, None),
        ({"apdidToken": "t"}, ("", "t")),
        ({"apdidToken": "t", "deviceModel": "M1"}, ("M1", "t")),
        ({"apdidToken": 5}, "Z5103"),
        ({"apdidToken": "t" * 5000}, "Z5103"),
        ({"apdidToken": "t", "deviceModel": {}}, ("", "t")),
        ({"apdidToken": "t", "deviceModel": [1]}, "Z5103"),
    ],
)
def test_devices_for_the_locks(meta: dict[str, Any], device: Any) -> None:
    assert device_of(meta) == device


def test_versions_are_compared_by_their_numbers() -> None:
    assert read_version("10.0") == read_version("10") == (10,)
    assert read_version("9.10") > read_version("9.9")  # type: ignore[operator]
    assert read_version("0") == ()
    assert read_version("9a") is None
