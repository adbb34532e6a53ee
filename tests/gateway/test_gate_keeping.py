"""Quota, scopes, rotation, closed products, and locks after failures."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import StoreError, UsageError
from pipeline.gateway.risk import NO_LOCKS, FailureWindow, RiskPolicy
from pipeline.gateway.schema import CounterRow
from pipeline.gateway.terms import KeyTerms, Quota
from pipeline.protocol.answers import parse_answer
from pipeline.protocol.signing import AccessKey

pytestmark = pytest.mark.storages("sqlite", "postgresql", "redis")
QUERY = {"method": "query", "bizId": "ZSTP0", "queryId": "0" * 32}
LIMITED = (402, "日QPS超过已购规格，限流。")
CLOSED = (403, "权限不足，服务未开通或已到期。")
LOCKED = (400, "刷脸失败次数过多，请您稍后再试。")
PHONE = {"deviceModel": "M1", "apdidToken": "token-1", "appName": "a"}
DAY = 24 * 3600


def told(answer: Any) -> tuple[Any, str]:
    return answer.code, answer.message


def init(caller: Any, name: str = "张三", number: str = "11010519491231002X", **meta: Any) -> Any:
    return caller.call(
        {"method": "init", "name": name, "certNumber": number, "metainfo": meta or {"appName": "a"}}
    )


# quota


def test_a_key_gets_its_requests_of_a_second_and_no_more(make_caller: Any) -> None:
    caller = make_caller(quota=Quota(per_second=3))
    assert [told(caller.call(QUERY)) == LIMITED for _ in range(5)] == [False] * 3 + [True] * 2
    caller.now += 1
    assert told(caller.call(QUERY)) != LIMITED


def test_a_day_ends_at_midnight_utc(make_caller: Any) -> None:
    caller = make_caller(quota=Quota(per_day=2))
    seen = []
    for later in (0, 100, 100, DAY):
        caller.now += later
        seen.append(told(caller.call(QUERY)) == LIMITED)
    assert seen == [False, False, True, False]
    caller.now = (caller.now // DAY + 1) * DAY - 1
    assert [told(caller.call(QUERY)) == LIMITED for _ in range(2)] == [False, True]
    caller.now += 1
    assert told(caller.call(QUERY)) != LIMITED


def test_what_a_second_refuses_does_not_count_for_the_day(make_caller: Any) -> None:
    caller = make_caller(quota=Quota(per_second=1, per_day=3))
    for _ in range(3):
        answers = [told(caller.call(QUERY)) == LIMITED for _ in range(4)]
        assert answers == [False, True, True, True]
        caller.now += 1
    assert told(caller.call(QUERY)) == LIMITED


def test_a_key_s_own_limit_goes_before_the_gateway_s_and_keys_are_apart(make_caller: Any) -> None:
    caller = make_caller(quota=Quota(per_second=1))
    other = AccessKey("other", "secret")
    caller.gateway.access_keys.put(other, now=caller.now, terms=KeyTerms(quota=Quota(per_second=2)))
    assert [told(caller.call(QUERY)) == LIMITED for _ in range(2)] == [False, True]
    caller.key = other
    assert [told(caller.call(QUERY)) == LIMITED for _ in range(3)] == [False, False, True]


def test_the_gateway_s_own_limit_is_throttling(make_caller: Any) -> None:
    caller = make_caller(whole_quota=Quota(per_second=1))
    caller.call(QUERY)
    answer = caller.raw(QUERY)
    assert (answer.status, parse_answer(answer.body).code) == (400, "Throttling.User")


def test_forged_requests_take_nothing_from_a_quota(make_caller: Any) -> None:
    caller = make_caller(quota=Quota(per_day=1), whole_quota=Quota(per_day=1))
    for _ in range(3):
        caller.gateway.handle(caller.request(caller.signed(caller.params(QUERY), secret="forged")))
    assert told(caller.call(QUERY)) != LIMITED


def test_a_quota_that_can_not_be_counted_lets_nobody_through(make_caller: Any, monkeypatch: Any) -> None:
    caller = make_caller(quota=Quota(per_day=1))

    def broken(*_: object, **__: object) -> None:
        raise StoreError("the database can't be used")

    monkeypatch.setattr(caller.gateway._quota, "take", broken)
    assert caller.raw(QUERY).status == 503


@pytest.mark.parametrize("value", [-1, 2**31])
def test_a_quota_is_a_count(value: int) -> None:
    with pytest.raises(UsageError):
        Quota(per_second=value)


# keys


def test_a_key_may_call_the_methods_of_its_scopes_only(caller: Any, kit: Any) -> None:
    caller.gateway.access_keys.set_terms("testid", KeyTerms(frozenset({"match"})))
    assert caller.match(kit.picture(1)).code == 200
    assert told(init(caller)) == told(caller.call(QUERY)) == CLOSED


def test_a_product_ends_at_its_time_and_can_be_opened_again(caller: Any, kit: Any) -> None:
    keys = caller.gateway.access_keys
    keys.set_terms("testid", KeyTerms(ends_at=int(caller.now) + 10))
    assert caller.match(kit.picture(1)).code == 200
    caller.now += 10
    assert told(caller.match(kit.picture(1))) == told(caller.call(QUERY)) == CLOSED
    assert told(caller.call("{")) == (400, "参数ServiceParameters不合法。")
    keys.set_terms("testid", KeyTerms())
    assert caller.match(kit.picture(1)).code == 200
    assert not keys.set_terms("nobody", KeyTerms())


@pytest.mark.parametrize("methods", [set(), {"delete"}, {"match", "x"}])
def test_scopes_are_methods_of_the_service(methods: set[str]) -> None:
    with pytest.raises(UsageError):
        KeyTerms(frozenset(methods))


def test_old_and_new_key_are_valid_together_until_the_overlap_ends(caller: Any) -> None:
    keys = caller.gateway.access_keys
    old, new = caller.key, keys.rotate("testid", now=caller.now, overlap_s=100)
    assert new.key_id != old.key_id
    for caller.key in (old, new):
        assert caller.call(QUERY).code == 400
    caller.now += 100
    assert caller.call(QUERY).code == 400
    caller.key = old
    assert caller.call(QUERY).code == "InvalidAccessKeyId.NotFound"
    with pytest.raises(StoreError, match="unknown or revoked"):
        keys.rotate("testid", now=caller.now)


def test_a_leaked_key_is_revoked_at_once_and_its_follower_lives(caller: Any) -> None:
    keys = caller.gateway.access_keys
    new = keys.rotate("testid", now=caller.now)
    assert keys.revoke("testid", now=caller.now)
    assert caller.call(QUERY).code == "InvalidAccessKeyId.NotFound"
    caller.key = new
    assert caller.call(QUERY).code == 400


def test_a_rotation_keeps_sessions_quota_and_terms(make_caller: Any, kit: Any) -> None:
    caller = make_caller()
    kit.enroll(caller, 1)
    keys = caller.gateway.access_keys
    terms = KeyTerms(frozenset({"init", "query"}), None, Quota(per_second=2))
    keys.set_terms("testid", terms)
    opened = init(caller).data
    caller.key = keys.rotate(keys.rotate("testid", now=caller.now).key_id, now=caller.now)
    asked = {"method": "query", "bizId": opened["bizId"], "queryId": opened["queryId"]}
    assert caller.call(asked).sub_code == "Z5137"
    assert told(caller.call(asked)) == LIMITED
    records = {record.key_id: record for record in keys.records()}
    assert len(records) == 3
    assert {(record.owner, record.terms) for record in records.values()} == {("testid", terms)}
    keys.set_terms(caller.key.key_id, KeyTerms(ends_at=0))
    assert {record.terms.ends_at for record in keys.records()} == {0}


# locks

SMALL = RiskPolicy(person=FailureWindow(3, 1000, 500), device=None, key=None)


def test_a_person_is_locked_after_so_many_failures_and_free_after_the_lock(
    make_caller: Any, kit: Any
) -> None:
    caller = make_caller(risk=SMALL, detailed_codes=True)
    kit.enroll(caller, 1)
    for _ in range(3):
        assert caller.match(kit.picture(2)).code == 200
    locked = caller.match(kit.picture(1))
    assert told(locked) == LOCKED
    assert (locked.data["resultCode"], locked.data["resultCodeSub"]) == ("HIGH_RISK", "Z1114")
    assert locked.data["resultMsgSub"] == "抱歉，系统出错了，请您稍后再试（Z1114）"
    assert "score" not in locked.data
    caller.now += 499
    assert told(init(caller)) == LOCKED
    caller.now += 1
    assert caller.match(kit.picture(1)).data["score"] > 95


def test_success_and_bad_pictures_do_not_count_and_faults_do_not_either(
    make_caller: Any, kit: Any, monkeypatch: Any
) -> None:
    caller = make_caller(risk=SMALL)
    kit.enroll(caller, 1)
    for _ in range(5):
        assert caller.match(kit.picture(1)).data["score"] > 95
        assert caller.match(kit.picture(1) // 64).message == "imgbase64中未检测到人脸"
        assert caller.match("AAAA").message == "imgbase64不合法"
        assert init(caller).code == 200
    with monkeypatch.context() as patch:
        patch.setattr(kit.embedder, "read", lambda *_: 1 / 0)
        for _ in range(5):
            assert caller.match(kit.picture(2)).code == 500
    assert caller.match(kit.picture(2)).code == 200


def test_names_tried_against_a_number_lock_the_number_enrolled_or_not(make_caller: Any, kit: Any) -> None:
    caller = make_caller(risk=SMALL)
    kit.enroll(caller, 1)
    for number in (kit.number, "440524188001010014"):
        answers = [told(init(caller, f"name {turn}", number)) for turn in range(4)]
        assert answers[-1] == LOCKED
        assert LOCKED not in answers[:3]
    assert told(caller.match(kit.picture(1))) == LOCKED


def test_other_people_stay_free(make_caller: Any, kit: Any) -> None:
    caller = make_caller(risk=SMALL)
    kit.enroll(caller, 1)
    kit.enroll(caller, 2, "李四", "440524188001010014")
    for _ in range(4):
        caller.match(kit.picture(2))
    assert told(caller.match(kit.picture(1))) == LOCKED
    assert caller.match(kit.picture(2), "李四", "440524188001010014").data["score"] > 95


def test_a_device_is_locked_over_all_people_and_the_session_carries_it(make_caller: Any, kit: Any) -> None:
    caller = make_caller(risk=RiskPolicy(None, FailureWindow(3, 1000, 500), None))
    kit.enroll(caller, 1)
    opened = init(caller, **PHONE).data
    service = {"method": "match", "name": kit.name, "certNumber": kit.number}
    caller.call(service | {"imgbase64": kit.base64(kit.picture(2)), "queryId": opened["queryId"]})
    for number in ("1", "2"):
        assert init(caller, "nobody", number, **PHONE).sub_code == "Z8105"
    assert told(init(caller, **PHONE)) == LOCKED
    assert init(caller, **(PHONE | {"apdidToken": "token-2"})).code == 200
    assert init(caller, **(PHONE | {"apdidToken": None})).code == 200
    assert caller.gateway.risk.unlock_device("M1", "token-1")
    assert init(caller, **PHONE).code == 200


def test_a_key_is_locked_over_all_people_and_its_follower_too(make_caller: Any, kit: Any) -> None:
    caller = make_caller(risk=RiskPolicy(None, None, FailureWindow(3, 1000, 500)))
    kit.enroll(caller, 1)
    other = AccessKey("other", "secret")
    caller.gateway.access_keys.put(other, now=caller.now)
    for number in ("1", "2", "3"):
        init(caller, "nobody", number)
    assert told(caller.match(kit.picture(1))) == LOCKED
    mine, caller.key = caller.key, caller.gateway.access_keys.rotate("testid", now=caller.now)
    assert told(caller.match(kit.picture(1))) == LOCKED
    caller.key = other
    assert caller.match(kit.picture(1)).code == 200
    assert caller.gateway.risk.unlock_key(mine.key_id)
    caller.key = mine
    assert caller.match(kit.picture(1)).code == 200


def test_a_person_can_be_unlocked(make_caller: Any, kit: Any) -> None:
    caller = make_caller(risk=SMALL)
    kit.enroll(caller, 1)
    for _ in range(3):
        caller.match(kit.picture(2))
    assert told(caller.match(kit.picture(1))) == LOCKED
    assert caller.gateway.risk.unlock_person(" 11010519491231002x ")
    assert not caller.gateway.risk.unlock_person(kit.number)
    assert caller.match(kit.picture(1)).data["score"] > 95


def test_attempts_at_once_can_not_fail_more_often_than_allowed(make_caller: Any, kit: Any) -> None:
    caller = make_caller(risk=SMALL)
    kit.enroll(caller, 1)
    bodies = [
        caller.request(
            caller.signed(
                caller.params(
                    {
                        "method": "match",
                        "name": kit.name,
                        "certNumber": kit.number,
                        "imgbase64": kit.base64(kit.picture(2)),
                    }
                )
            )
        )
        for _ in range(12)
    ]
    codes: list[Any] = []
    threads = [
        threading.Thread(target=lambda r=r: codes.append(parse_answer(caller.gateway.handle(r).body).code))
        for r in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] * 3 + [400] * 9


ATTEMPTS = st.lists(
    st.tuples(st.sampled_from(["begin", "fail", "pass", "crash", "wait"]), st.integers(0, 400)), max_size=40
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ATTEMPTS)
def test_under_any_interleaving_no_more_attempts_fail_than_the_window_allows(
    caller: Any, steps: list[Any]
) -> None:
    """Attempts overlap freely; each ends as a failure, a success, or never (its process died)."""
    from pipeline.gateway.risk import Risk

    window = FailureWindow(3, 1000, 500)
    authority = caller.gateway.authority
    risk = Risk(caller.gateway.shared.counters, authority.vault, RiskPolicy(window, None, None))
    risk.unlock_person("x")
    now, open_attempts = 10_000, []
    failed: list[int] = []
    for what, number in steps:
        if what == "wait":
            now += number
        elif what == "begin":
            manager = risk.attempt(cert_number="x", device=None, owner="k", now=now)
            attempt = manager.__enter__()
            if attempt is None:
                manager.__exit__(None, None, None)
            else:
                open_attempts.append((manager, attempt, now))
        elif open_attempts:
            manager, attempt, began = open_attempts.pop(number % len(open_attempts))
            if what != "pass":
                failed.append(began)
                attempt.fail()
            if what != "crash":
                manager.__exit__(None, None, None)
    # A window lasts at least the shorter of the two times, so a stretch shorter than that meets two at most.
    failed.sort()
    for first, last in itertools.combinations(range(len(failed)), 2):
        if failed[last] - failed[first] < window.lock_s:
            assert last - first + 1 <= 2 * window.most
    # And in a stretch in which no window can have ended, one at most.
    if steps and now - 10_000 < window.lock_s:
        assert len(failed) <= window.most
    for manager, *_ in open_attempts:
        manager.__exit__(None, None, None)


@pytest.mark.storages("sqlite", "postgresql")
def test_no_locks_write_nothing(make_caller: Any, kit: Any) -> None:
    caller = make_caller(risk=NO_LOCKS, audit=False)
    kit.enroll(caller, 1)
    caller.match(kit.picture(2))
    with caller.gateway.authority.store.read() as session:
        assert session.query(CounterRow).count() == 0
