"""Lists: what is read, and what is refused with which line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.evaluation.manifest import MAX_BYTES, read_manifest, read_pairs, read_paths


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "list.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_manifest_is_read_with_paths_beside_it(tmp_path: Path) -> None:
    found = read_manifest(
        written(
            tmp_path,
            "path\tlabel\tspecies\tsubject\tgroup\nlive/a.jpg\tlive\tnone\tann\tday\n../b.mp4\tspoof\tprint\t\t\n",
        )
    )
    first, second = found.rows
    assert (first.name, first.path) == ("live/a.jpg", tmp_path / "live" / "a.jpg")
    assert (first.live, first.subject, first.group, first.line) == (True, "ann", "day", 2)
    assert second.path == tmp_path.parent / "b.mp4"
    assert (second.live, second.species, second.subject, second.group) == (False, "print", "", "")
    assert len(found.sha256) == 64


def test_the_paths_alone_are_read_as_the_whole_manifest_reads_them(tmp_path: Path) -> None:
    text = '\ufeffPath\tlabel\tspecies\r\n a b.png \tlive\t\r\n\r\n"c".png\tspoof\tprint\r\n'
    found = read_paths(written(tmp_path, text))
    assert found == (tmp_path / "a b.png", tmp_path / '"c".png')
    assert found == tuple(row.path for row in read_manifest(tmp_path / "list.tsv").rows)


def test_the_paths_alone_need_no_label_and_keep_what_is_named_twice(tmp_path: Path) -> None:
    found = read_paths(written(tmp_path, "n\tpath\n1\tx.png\n2\t/y.png\n3\tx.png\n"))
    assert found == (tmp_path / "x.png", Path("/y.png"), tmp_path / "x.png")
    with pytest.raises(UsageError, match="line 2: a cell holds a control character"):
        read_paths(written(tmp_path, "path\na\0b.png\n"))


@pytest.mark.parametrize(
    "text",
    [
        "path\tlabel\tspecies\nx.png\tspoof\tprint\n",
        "path\tlabel\tspecies\tsubject\nx.png\tspoof\tprint\n",
        "label\tnote\tspecies\tpath\r\nspoof\tanything\tprint\tx.png\r\n",
        "\ufeffPath\tLabel\tSpecies\nx.png\tSPOOF\tprint",
        "path\tlabel\tspecies\tgroup\n\n  \nx.png\tspoof\tprint\t\n\n",
    ],
)
def test_columns_in_any_order_further_ones_bom_and_empty_lines_are_taken(tmp_path: Path, text: str) -> None:
    (row,) = read_manifest(written(tmp_path, text)).rows
    assert (row.name, row.live, row.species, row.subject) == ("x.png", False, "print", "")


def test_an_attack_without_a_species_is_unspecified(tmp_path: Path) -> None:
    (row,) = read_manifest(written(tmp_path, "path\tlabel\tspecies\nx.png\tspoof\t\n")).rows
    assert row.species == "unspecified"


def test_a_row_said_twice_counts_once_and_a_contradiction_is_refused(tmp_path: Path) -> None:
    head = "path\tlabel\tspecies\n"
    twice = read_manifest(written(tmp_path, head + "x.png\tlive\tnone\n./x.png\tlive\t-\n"))
    assert (len(twice.rows), twice.repeated) == (1, 1)
    for other in ("spoof\tprint", "spoof\tnone"):
        with pytest.raises(UsageError, match="line 3: line 2 says otherwise"):
            read_manifest(written(tmp_path, head + f"x.png\tlive\tnone\nx.png\t{other}\n"))


def test_every_bad_line_is_named_up_to_five(tmp_path: Path) -> None:
    rows = ["a.png\tfake\tprint", "b.png\tlive\tnone", "\tlive\tnone", "c\tlive\tnone\tx\ty"]
    with pytest.raises(UsageError) as caught:
        read_manifest(written(tmp_path, "path\tlabel\tspecies\n" + "\n".join(rows)))
    message = caught.value.message
    assert "list.tsv line 2: the label must be live or spoof" in message
    assert "line 4: the cell under path is empty" in message
    assert "line 5: 5 cells under 3 columns" in message
    assert "line 3" not in message
    many = "path\tlabel\tspecies\n" + "\n".join(f"{i}.png\tno\tprint" for i in range(40))
    with pytest.raises(UsageError, match=r"line 6: [^;]*; and 35 more$"):
        read_manifest(written(tmp_path, many))


def test_messages_hold_no_cell(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_manifest(written(tmp_path, "path\tlabel\tspecies\n张三.png\t张三\tprint\n"))
    assert "张三" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks path, label, species"),
        ("path\tlabel\nx\tlive\n", "lacks species"),
        ("path\tlabel\tspecies\tlabel\nx\tlive\tnone\tlive\n", "names a column twice"),
        ("path\tlabel\tspecies\n", "no rows"),
        ("path,label,species\nx,live,none\n", "lacks path"),
        ("path\tlabel\tspecies\nx\0y\tlive\tnone\n", "line 2: a cell holds a control character"),
        (b"path\tlabel\tspecies\nok\tlive\tnone\n\xff\xfe\tlive\tnone\n", "line 3: not UTF-8"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_manifest(written(tmp_path, text))


def test_what_is_not_a_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path / "absent",
        tmp_path,
        tmp_path / "pipe",
        tmp_path / "a\0b",
        tmp_path / ("x" * 5000),
    ):
        with pytest.raises(UsageError):
            read_manifest(path)


def test_a_list_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.tsv"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UsageError, match="was not read"):
        read_manifest(path)


def test_pairs_are_read_and_a_repeat_in_either_order_counts_once(tmp_path: Path) -> None:
    found = read_pairs(written(tmp_path, "a\tb\tsame\nx.png\ty.png\t1\ny.png\tx.png\t1\nx.png\tz.png\t0\n"))
    assert [(p.a, p.b, p.same, p.line) for p in found.rows] == [
        ("x.png", "y.png", True, 2),
        ("x.png", "z.png", False, 4),
    ]
    assert found.repeated == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x\ty\t2", "same must be 0 or 1"),
        ("x\ty\t", "the cell under same is empty"),
        ("x\t./x\t1", "compared with itself"),
        ("x\ty\t1\ny\tx\t0", "line 3: line 2 says otherwise"),
    ],
)
def test_bad_pairs_are_refused_with_their_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_pairs(written(tmp_path, f"a\tb\tsame\n{row}\n"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_give_a_list_or_a_usage_error(tmp_path: Path, junk: bytes) -> None:
    for head in (b"", b"path\tlabel\tspecies\n", b"a\tb\tsame\n"):
        for read in (read_manifest, read_pairs):
            try:
                found = len(read(written(tmp_path, head + junk)).rows)
            except UsageError:
                continue
            assert found
