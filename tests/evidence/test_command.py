"""``livegate evidence`` from the keys to the purge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import update
from typer.testing import CliRunner, Result

from pipeline.cli.evidence import app
from pipeline.errors import StoreError, UsageError
from pipeline.gateway.keeping import EvidenceRow

pytestmark = pytest.mark.storages("sqlite")

PASSPHRASE = "sechs zufaellige Woerter"

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: Any) -> Run:
    """Runs the command with the passphrase in the environment, in a folder without a livegate.toml."""
    folder = tmp_path / "operator"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LIVEGATE_EVIDENCE_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("LIVEGATE_DATABASE", f"sqlite:///{tmp_path / 'gateway' / 'authority.db'}")

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def kept(run: Run, make_client: Any, kit: Any) -> Any:
    """Keys made by the command, a gateway with the public one, and two pictures. Times are the machine's."""
    import time

    made = run("keygen", "--json")
    assert made.exit_code == 0, made.output
    client = make_client(key=Path("evidence-public.pem"))
    client.clock[0] = time.time()
    for number in range(2):
        assert client.match(kit.jpeg(number), quote(f"REF/{number} {kit.name}"))["Code"] == 200
    return client


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_keygen_tells_what_goes_where(run: Run) -> None:
    done = run("keygen", "--private", "a/private.pem", "--public", "b/public.pem")
    assert done.exit_code == 0
    assert "private: a/private.pem  stays where evidence is opened, never on the gateway" in done.stdout
    assert "public:  b/public.pem  goes to the gateway" in done.stdout
    assert PASSPHRASE not in done.output
    again = run("keygen", "--private", "a/private.pem", "--public", "b/other.pem")
    assert isinstance(again.exception, UsageError)
    assert not Path("b/other.pem").exists()


def test_keygen_warns_on_the_gateway_s_machine_and_refuses_its_folder(
    run: Run, make_client: Any, tmp_path: Path
) -> None:
    make_client()
    done = run("keygen", "--json")
    assert lines(done)[0]["gateway_database_here"] is True
    assert "move the private key away" in done.stderr
    inside = run("keygen", "--private", tmp_path / "gateway" / "private.pem", "--public", "p.pem")
    assert isinstance(inside.exception, UsageError)
    assert "folder of the gateway's database" in inside.exception.message
    assert not (tmp_path / "gateway" / "private.pem").exists()


def test_without_a_passphrase_no_key_is_made_or_read(run: Run, monkeypatch: Any) -> None:
    monkeypatch.delenv("LIVEGATE_EVIDENCE_PASSPHRASE")
    done = run("keygen")
    assert isinstance(done.exception, UsageError)
    assert "needs a passphrase" in done.exception.message
    assert list(Path().iterdir()) == []
    Path("passphrase").write_text(PASSPHRASE + "\n")
    assert run("keygen", "--passphrase-file", "passphrase").exit_code == 0


def test_the_list_shows_ids_and_times_and_no_person(run: Run, kept: Any, kit: Any) -> None:
    done = run("list", "--json")
    rows = lines(done)
    assert [row["event"] for row in rows] == ["evidence"] * 2
    assert {row["id"] for row in rows} == {row.id for row in kept.rows()}
    assert all(row["bytes"] > 5000 and not row["due"] for row in rows)
    plain = run("list")
    assert rows[0]["id"][:8] in plain.stdout
    for output in (done.output, plain.output):
        assert kit.name not in output
        assert kit.number not in output
        assert "REF" not in output


def test_export_opens_with_the_key(run: Run, kept: Any, kit: Any) -> None:
    done = run("export", "--key", "evidence-private.pem", "--out", "out", "--json")
    assert done.exit_code == 0, done.output
    assert [line["state"] for line in lines(done)] == ["exported"] * 2
    assert {path.read_bytes() for path in Path("out").glob("*.jpg")} == {kit.jpeg(0), kit.jpeg(1)}
    assert kit.name not in done.output


def test_export_of_one_record(run: Run, kept: Any) -> None:
    chosen = kept.rows()[0].id
    done = run("export", "--key", "evidence-private.pem", "--out", "out", "--id", chosen, "--json")
    assert (done.exit_code, [line["id"] for line in lines(done)]) == (0, [chosen])
    missing = run("export", "--key", "evidence-private.pem", "--out", "o2", "--id", "f" * 32, "--json")
    assert (missing.exit_code, lines(missing)[0]["state"]) == (6, "missing")


def test_export_sealed_and_open_elsewhere(run: Run, kept: Any, kit: Any) -> None:
    assert run("export", "--sealed", "--out", "boxes").exit_code == 0
    kept.gateway.close()
    kept.path.unlink()
    done = run("export", "--key", "evidence-private.pem", "--from", "boxes", "--out", "out", "--json")
    assert done.exit_code == 0
    assert {path.read_bytes() for path in Path("out").glob("*.jpg")} == {kit.jpeg(0), kit.jpeg(1)}


def test_a_wrong_key_is_told_with_both_ids(run: Run, kept: Any) -> None:
    own = kept.rows()[0].key_id
    made = lines(run("keygen", "--private", "other.pem", "--public", "other-public.pem", "--json"))[0]
    done = run("export", "--key", "other.pem", "--out", "out")
    assert isinstance(done.exception, StoreError)
    assert own in done.exception.message
    assert made["key_id"] in done.exception.message
    assert list(Path("out").iterdir()) == []
    both = run("export", "--key", "other.pem", "--key", "evidence-private.pem", "--out", "out")
    assert both.exit_code == 0


def test_damaged_records_end_with_status_6(run: Run, kept: Any) -> None:
    with kept.store.write() as session:
        session.execute(
            update(EvidenceRow).where(EvidenceRow.id == kept.rows()[0].id).values(expires_at=2**40)
        )
    done = run("export", "--key", "evidence-private.pem", "--out", "out", "--json")
    assert done.exit_code == 6
    assert sorted(line["state"] for line in lines(done)) == ["damaged", "exported"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "--out", "out"),
        ("export", "--out", "out", "--sealed", "--key", "k.pem"),
        ("export", "--out", "out", "--sealed", "--from", "boxes"),
        ("export", "--out", "out", "--key", "k.pem", "--from", "b", "--database", "sqlite:///x"),
        ("export", "--out", "out", "--key", "missing.pem"),
        ("purge", "--consent", "a", "--id", "b"),
    ],
)
def test_calls_that_contradict_themselves(run: Run, kept: Any, arguments: tuple[str, ...]) -> None:
    assert isinstance(run(*arguments).exception, UsageError)
    assert not Path("out").exists()
    assert len(kept.rows()) == 2


def test_purge_proves_itself(run: Run, kept: Any) -> None:
    with kept.store.write() as session:
        session.execute(update(EvidenceRow).values(expires_at=1))
    dry = lines(run("purge", "--dry-run", "--json"))[0]
    assert (len(dry["removed"]), dry["proof"]) == (2, "dry_run")
    done = run("purge")
    assert done.exit_code == 0
    assert "2 removed" in done.stdout
    assert "Proved: searched" in done.stdout
    assert "found all 2 records, now none" in done.stdout
    assert "backups" in done.stdout
    again = run("purge", "--json")
    assert (again.exit_code, lines(again)[0]["proof"]) == (0, "nothing_to_do")


def test_purge_of_a_withdrawn_consent(run: Run, kept: Any, kit: Any) -> None:
    done = run("purge", "--consent", f"REF/1 {kit.name}", "--json")
    report = lines(done)[0]
    assert (done.exit_code, report["proof"], report["kept"]) == (0, "clean", 1)
    assert kit.name not in done.output


def test_purge_that_finds_a_copy_ends_with_status_6(run: Run, kept: Any) -> None:
    copy = kept.path.with_name("authority.db.old")
    copy.write_bytes(kept.rows()[0].sealed)
    done = run("purge", "--id", kept.rows()[0].id)
    assert done.exit_code == 6
    assert "NOT GONE" in done.stdout


def test_a_database_that_is_not_there_is_told_and_not_made(run: Run, tmp_path: Path) -> None:
    for command in (("list",), ("purge",), ("purge", "--consent", "x"), ("export", "--sealed", "--out", "o")):
        done = run(*command)
        assert isinstance(done.exception, StoreError)
        assert "no database" in done.exception.message
    assert not (tmp_path / "gateway").exists()
