"""Enrolment from folders and tables: the good rows are kept, the bad ones named, and nobody is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.errors import EnrollError, UsageError
from pipeline.gateway import Duplicates, EnrollReport, FaceIndex, enroll
from pipeline.gateway.enrolment import _SENTENCES, DUPLICATE_SCORE
from pipeline.gateway.faces import FaceReading
from pipeline.gateway.picture import PictureProblem
from pipeline.gateway.scoring import cosine_of, score_of
from pipeline.protocol.cert_number import CertCheck

LI, WANG = "440524188001010014", "110105194912310038"


@pytest.fixture
def run(make_caller: Any, kit: Any) -> Callable[..., EnrollReport]:
    caller = make_caller()

    def go(path: Path, embedder: Any = None, **options: Any) -> EnrollReport:
        return enroll(path, caller.gateway.authority, embedder or kit.embedder(), **options)

    go.caller = caller  # type: ignore[attr-defined]
    return go


def put(folder: Path, name: str, image: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())


def outcome(report: EnrollReport) -> list[tuple[int, str | None]]:
    return [(row.ordinal, row.reason) for row in report.rows]


def test_a_folder_is_enrolled_and_matched(run: Any, kit: Any, tmp_path: Path) -> None:
    put(tmp_path / "in", f"张三_{kit.number}.jpg", kit.picture(1))
    put(tmp_path / "in", f"阿卜_杜拉_{LI}.PNG".replace("PNG", "png"), kit.picture(2))
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    report = run(tmp_path / "in")
    assert (report.enrolled, report.failed) == (2, ())
    assert run.caller.match(kit.picture(1)).data["score"] > 95
    assert run.caller.match(kit.picture(2), "阿卜_杜拉", LI).data["score"] > 95


def test_bad_rows_are_named_and_the_good_ones_kept(run: Any, kit: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    put(folder, f"a_{kit.number}.jpg", kit.picture(1))
    put(folder, f"b_{LI}.jpg", kit.picture(1) // 64)
    (folder / f"c_{LI}.png").write_bytes(b"not a picture")
    put(folder, "d.jpg", kit.picture(3))
    put(folder, "e_.jpg", kit.picture(3))
    put(folder, f"f_{LI}.jpg", kit.picture(3, 32))
    (folder / f"g_{LI}.jpg").write_bytes(kit.jpeg(kit.picture(3))[:-200])
    put(folder, f"h_{kit.number}.jpg", kit.picture(3))
    report = run(folder)
    assert outcome(report) == [
        (1, None),
        (2, "no_face"),
        (3, "not_jpeg_or_png"),
        (4, "name_missing"),
        (5, "cert_number_missing"),
        (6, "too_small"),
        (7, "cut_off"),
        (8, "other_name"),
    ]
    assert report.enrolled == 1
    assert all(row.sentence for row in report.failed)


def test_a_table_with_a_byte_order_mark_and_odd_cells(run: Any, kit: Any, tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", kit.picture(1))
    put(tmp_path / "deep", "2.png", kit.picture(2))
    rows = [
        "name, certNumber ,path,note",
        f'"张三",{kit.number},1.jpg,"a, note"',
        f" 李四 , {LI} , deep/2.png ",
        "",
        f"王五,{WANG},nowhere.jpg",
        f"王五,{WANG},",
        f",{WANG},1.jpg",
        "王五",
        f"王五,{WANG},1.jpg,x,y,z",
        f"王五,{WANG},people.csv",
    ]
    (tmp_path / "people.csv").write_text("\ufeff" + "\r\n".join(rows), "utf-8")
    report = run(tmp_path / "people.csv")
    assert outcome(report) == [
        (2, None),
        (3, None),
        (5, "file_missing"),
        (6, "file_missing"),
        (7, "name_missing"),
        (8, "cert_number_missing"),
        (9, None),
        (10, "file_missing"),
    ]
    assert run.caller.match(kit.picture(2), "李四", LI).data["score"] > 95


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not name"),
        (b"name,path\nx,y\n", "certNumber"),
        (b"name,certNumber,path\n", "no rows"),
        ("name,certNumber,path\n张三,1,1.jpg".encode("gb18030"), "not UTF-8"),
        (b"name,certNumber,path\n" + b'"' + b"x" * 200_000 + b'",1,2', "near line"),
    ],
)
def test_what_is_no_table_is_told_as_a_whole(run: Any, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    with pytest.raises(EnrollError, match=message):
        run(tmp_path / "people.csv")


def test_a_missing_or_empty_folder_is_told(run: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such"):
        run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EnrollError, match="holds no"):
        run(tmp_path / "empty")


@pytest.mark.parametrize(
    ("check", "reason", "warning"),
    [
        (CertCheck.OFF, None, None),
        (CertCheck.WARN, None, "cert_number_invalid"),
        (CertCheck.STRICT, "cert_number_invalid", "cert_number_invalid"),
    ],
)
def test_a_wrong_check_digit_in_three_settings(
    run: Any, kit: Any, tmp_path: Path, check: CertCheck, reason: str | None, warning: str | None
) -> None:
    put(tmp_path / "in", "张三_33010320180101010X.jpg", kit.picture(1))
    (row,) = run(tmp_path / "in", cert_check=check).rows
    assert (row.reason, row.warning) == (reason, warning)


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        ((100.0, 1, 0.0), None),
        ((55.0, 1, 0.0), "face_too_small"),
        ((100.0, 2, 51.0), "several_faces"),
        ((100.0, 3, 50.0), None),
    ],
)
def test_the_face_must_be_large_and_dominant(
    run: Any, kit: Any, tmp_path: Path, reading: tuple[float, int, float], reason: str | None
) -> None:
    class Scripted(kit.embedder):
        def read(self, image: Any) -> FaceReading:
            return FaceReading(super().read(image).embedding, *reading)

    put(tmp_path / "in", f"张三_{kit.number}.jpg", kit.picture(1))
    (row,) = run(tmp_path / "in", Scripted()).rows
    assert row.reason == reason


def test_a_second_run_replaces_and_one_run_adds(run: Any, kit: Any, tmp_path: Path) -> None:
    put(tmp_path / "one", f"张三_{kit.number}.jpg", kit.picture(1))
    put(tmp_path / "one", f"张三_{kit.number}.png", kit.picture(2))
    run(tmp_path / "one")
    assert run.caller.match(kit.picture(1)).data["score"] > 95
    assert run.caller.match(kit.picture(2)).data["score"] > 95
    put(tmp_path / "two", f"张三_{kit.number}.jpg", kit.picture(3))
    run(tmp_path / "two")
    assert run.caller.match(kit.picture(1)).data["score"] < 60
    assert run.caller.match(kit.picture(3)).data["score"] > 95


def test_a_bad_second_picture_leaves_the_first_in_force(run: Any, kit: Any, tmp_path: Path) -> None:
    put(tmp_path / "one", f"张三_{kit.number}.jpg", kit.picture(1))
    run(tmp_path / "one")
    put(tmp_path / "two", f"张三_{kit.number}.jpg", kit.picture(1) // 64)
    assert run(tmp_path / "two").enrolled == 0
    assert run.caller.match(kit.picture(1)).data["score"] > 95


def test_progress_is_told_after_each_row(run: Any, kit: Any, tmp_path: Path) -> None:
    for seed in range(3):
        put(tmp_path / "in", f"p{seed}_{LI}.jpg", kit.picture(seed))
    seen: list[tuple[int, int]] = []
    run(tmp_path / "in", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_reports_and_logs_name_nobody(run: Any, kit: Any, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    put(tmp_path / "in", f"张三_{kit.number}.jpg", kit.picture(1))
    put(tmp_path / "in", f"李四_{LI}.jpg", kit.picture(1) // 64)
    report = run(tmp_path / "in")
    told = repr(report) + str(report.as_dict()) + caplog.text
    for secret in ("张三", "李四", kit.number, LI, kit.number[:12], LI[:12]):
        assert secret not in told
    assert report.as_dict()["failed"] == [{"row": 2, "number": "*" * 16 + "14", "reason": "no_face"}]


def test_every_reason_has_a_sentence() -> None:
    assert set(PictureProblem) <= set(_SENTENCES)


# one face, two numbers


def put_twice(folder: Path, kit: Any) -> None:
    put(folder, f"a_{kit.number}.jpg", kit.picture(1))
    put(folder, f"b_{LI}.jpg", kit.picture(2))
    put(folder, f"c_{WANG}.jpg", kit.picture(1))


def told(report: EnrollReport) -> list[tuple[str | None, int, tuple[int, ...]]]:
    return [(row.reason, row.duplicates, row.same_as) for row in report.rows]


def test_a_face_under_a_second_number_is_enrolled_with_a_warning(run: Any, kit: Any, tmp_path: Path) -> None:
    put_twice(tmp_path / "in", kit)
    report = run(tmp_path / "in")
    assert told(report) == [(None, 0, ()), (None, 0, ()), (None, 1, (1,))]
    assert report.rows[2].duplicate_sentence.endswith("(row 1 of this run)")
    assert run.caller.match(kit.picture(1), "c", WANG).data["score"] > 95
    shown = report.as_dict()["likely_duplicates"]
    assert shown == [{"row": 3, "number": "*" * 16 + "38", "people": 1, "same_as_rows": [1]}]


def test_or_it_is_refused_and_the_others_are_enrolled(run: Any, kit: Any, tmp_path: Path) -> None:
    put_twice(tmp_path / "in", kit)
    report = run(tmp_path / "in", duplicates=Duplicates.REFUSE)
    assert told(report) == [(None, 0, ()), (None, 0, ()), ("likely_duplicate", 1, (1,))]
    assert run.caller.match(kit.picture(1), "c", WANG).code == 400
    put(tmp_path / "again", f"d_{WANG}.jpg", kit.picture(2))
    assert told(run(tmp_path / "again", duplicates=Duplicates.REFUSE)) == [("likely_duplicate", 1, ())]
    put(tmp_path / "free", f"d_{WANG}.jpg", kit.picture(3))
    assert told(run(tmp_path / "free", duplicates=Duplicates.REFUSE)) == [(None, 0, ())]


def test_or_nothing_is_searched(run: Any, kit: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(FaceIndex, "find", lambda *_, **__: pytest.fail("searched"))
    put_twice(tmp_path / "in", kit)
    assert told(run(tmp_path / "in", duplicates=Duplicates.OFF)) == [(None, 0, ())] * 3


def test_a_person_s_own_pictures_are_no_duplicates(run: Any, kit: Any, tmp_path: Path) -> None:
    put(tmp_path / "in", f"a_{kit.number}.jpg", kit.picture(1))
    put(tmp_path / "in", f"a_{kit.number}.png", kit.picture(1))
    for _ in range(2):
        assert told(run(tmp_path / "in", duplicates=Duplicates.REFUSE)) == [(None, 0, ())] * 2


def test_a_duplicate_begins_at_the_mark_of_the_score_map(run: Any, kit: Any, tmp_path: Path) -> None:
    """The second face is just below the mark, the third, on the other side of the first, just above."""
    at = cosine_of(DUPLICATE_SCORE)
    assert score_of(at + 1e-6) >= DUPLICATE_SCORE > score_of(at - 1e-3)
    left = [(1.0, 0), (at - 1e-4, 1), (at + 1e-6, -1)]

    class Scripted(kit.embedder):
        def read(self, image: Any) -> FaceReading:
            cosine, side = left.pop(0)
            vector = np.array([cosine, side * (1 - cosine**2) ** 0.5], np.float32)
            return FaceReading(vector, 100.0, 1, 0.0)

    put_twice(tmp_path / "in", kit)
    assert told(run(tmp_path / "in", Scripted())) == [(None, 0, ()), (None, 0, ()), (None, 1, (1,))]
