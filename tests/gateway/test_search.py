"""One face among all that are enrolled: exact, in step with every process, and never blind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from pipeline.errors import EnrollError, StoreError
from pipeline.gateway import Authority, FaceIndex, Identity, open_authority, search
from pipeline.gateway.authority import EmbeddingModel
from pipeline.gateway.schema import PersonRow, TemplateRow

MODEL = EmbeddingModel("net", "a" * 64)
SIZE = 16


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    return vector / np.linalg.norm(vector)


def near(vector: np.ndarray, cosine: float, seed: int) -> np.ndarray:
    """A unit vector at this cosine."""
    other = unit(seed)
    other -= (other @ vector) * vector
    other /= np.linalg.norm(other)
    return (cosine * vector + np.sqrt(1 - cosine**2) * other).astype(np.float32)


@pytest.fixture
def authority(database: str) -> Any:
    opened = open_authority(database)
    yield opened
    opened.store.close()


def put(authority: Authority, number: str, vector: np.ndarray, **more: Any) -> str:
    return authority.enroll(Identity.of("n", number), vector, more.pop("model", MODEL), now=1.0, **more)


def person(authority: Authority, number: str) -> str:
    found = authority.find(Identity.of("n", number))
    assert found is not None
    return found


def test_the_most_like_ones_come_first_and_the_others_not_at_all(authority: Authority) -> None:
    for number, cosine in enumerate((0.55, 0.95, 0.3, 0.75)):
        put(authority, f"{number}", near(unit(0), cosine, 10 + number))
    found = FaceIndex(authority, MODEL).find(unit(0), 0.5)
    assert [each.person_id for each in found] == [person(authority, number) for number in "130"]
    assert [each.cosine for each in found] == pytest.approx([0.95, 0.75, 0.55], abs=1e-5)


def test_a_cosine_at_the_threshold_counts(authority: Authority) -> None:
    put(authority, "a", np.eye(SIZE, dtype=np.float32)[0])
    index = FaceIndex(authority, MODEL)
    query = np.zeros(SIZE, np.float32)
    query[:2] = 0.5, np.sqrt(0.75)
    assert len(index.find(query, 0.5)) == 1
    assert index.find(query, np.nextafter(np.float32(0.5), np.float32(1))) == []


def test_one_s_own_templates_do_not_count(authority: Authority) -> None:
    first = put(authority, "a", unit(0))
    put(authority, "a", near(unit(0), 0.99, 1), keep=[first])
    put(authority, "b", near(unit(0), 0.6, 2))
    found = FaceIndex(authority, MODEL).find(unit(0), 0.5, exclude=person(authority, "a"), most=1)
    assert [each.person_id for each in found] == [person(authority, "b")]


def test_templates_of_another_net_are_not_compared(authority: Authority) -> None:
    put(authority, "a", unit(0), model=EmbeddingModel("net", "b" * 64))
    put(authority, "b", unit(0), model=EmbeddingModel("other", "a" * 64))
    assert FaceIndex(authority, MODEL).find(unit(0), -1.0) == []


def test_an_empty_authority_has_nobody(authority: Authority) -> None:
    assert FaceIndex(authority, MODEL).find(unit(0), -1.0) == []


def test_what_another_process_does_is_seen_by_the_next_search(authority: Authority, database: str) -> None:
    other = open_authority(database)
    index = FaceIndex(authority, MODEL)
    assert index.find(unit(0), 0.5) == []
    put(other, "a", unit(0))
    (found,) = index.find(unit(0), 0.5)
    assert found.person_id == person(authority, "a")
    put(other, "a", unit(1))  # replaces it
    assert index.find(unit(0), 0.5) == []
    assert len(index.find(unit(1), 0.5)) == len(index) == 1
    other.revoke(Identity.of("n", "a"), now=2.0)
    assert index.find(unit(1), 0.5) == []
    assert len(index) == 0
    other.store.close()


def test_a_person_who_was_deleted_outright_is_not_told(authority: Authority) -> None:
    put(authority, "a", unit(0))
    index = FaceIndex(authority, MODEL)
    assert len(index.find(unit(0), 0.5)) == 1
    with authority.store.write() as session:
        session.execute(delete(TemplateRow))
        session.execute(delete(PersonRow))
    assert index.find(unit(0), 0.5) == []


def test_an_enrolment_that_is_undone_leaves_nothing_behind(authority: Authority) -> None:
    index = FaceIndex(authority, MODEL)
    seen: list[int] = []

    def refuse(session: Any, person_id: str) -> None:
        seen.append(len(index.find(unit(0), 0.5, exclude=person_id, session=session)))
        raise EnrollError("no")

    for _ in range(2):
        with pytest.raises(EnrollError):
            put(authority, "a", unit(0), check=refuse)
    assert seen == [0, 0]
    assert authority.find(Identity.of("n", "a")) is None
    put(authority, "b", unit(0))
    (found,) = index.find(unit(0), 0.5)
    assert found.person_id == person(authority, "b")


def test_a_face_that_is_no_number_proves_nothing(authority: Authority) -> None:
    put(authority, "a", unit(0))
    with pytest.raises(EnrollError, match="not finite"):
        FaceIndex(authority, MODEL).find(np.full(SIZE, np.nan, np.float32), 0.5)


def test_a_template_that_does_not_open_stops_the_search(authority: Authority) -> None:
    put(authority, "a", unit(0))
    put(authority, "b", unit(1))
    with authority.store.write() as session:
        row = session.query(TemplateRow).first()
        assert row is not None
        assert row.data is not None
        row.data = row.data[:-1] + bytes([row.data[-1] ^ 1])
    index = FaceIndex(authority, MODEL)
    for _ in range(2):
        with pytest.raises(StoreError, match="does not open"):
            index.find(unit(0), 0.5)


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 30)),
        st.tuples(st.just("revoke"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("find"), st.integers(0, 5), st.integers(0, 30)),
    ),
    max_size=25,
)


@pytest.mark.storages("sqlite")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES, st.integers(1, 4))
def test_it_finds_what_comparing_with_every_template_finds(
    authority: Authority, monkeypatch: Any, changes: list[Any], block: int
) -> None:
    """Small blocks and a small first matrix, so that both are outgrown."""
    monkeypatch.setattr(search, "BLOCK", block)
    monkeypatch.setattr(search, "_FIRST_CAPACITY", 2)
    for number in range(6):
        authority.revoke(Identity.of("n", f"{number}"), now=1.0)
    index, active = FaceIndex(authority, MODEL), {}
    for what, number, seed in [*changes, ("find", 0, 0)]:
        if what == "put":
            put(authority, f"{number}", unit(seed))
            active[number] = unit(seed)
        elif what == "revoke":
            authority.revoke(Identity.of("n", f"{number}"), now=2.0)
            active.pop(number, None)
        else:
            found = index.find(unit(seed), -1.0, exclude=_id(authority, number), most=3)
            cosines = sorted((float(v @ unit(seed)) for n, v in active.items() if n != number), reverse=True)
            assert [each.cosine for each in found] == pytest.approx(cosines[:3], abs=1e-6)
            assert len(index) == len(active)


def _id(authority: Authority, number: int) -> str:
    return authority.find(Identity.of("n", f"{number}")) or ""


def test_of_processes_that_enrol_one_face_at_once_one_succeeds(
    crew: Any, storage: Any, database: str
) -> None:
    """Search and enrolment are one step: nobody can enrol between the two."""
    faces = [unit(seed).tolist() for seed in range(8)]
    each = [{"numbers": [f"{member}-{face}" for face in range(len(faces))]} for member in range(crew.size)]
    answers = crew("enroll", storage, database, each, faces=faces, refuse=True)
    for told in zip(*answers, strict=True):
        assert sorted(told) == ["duplicate"] * (crew.size - 1) + ["enrolled"]
