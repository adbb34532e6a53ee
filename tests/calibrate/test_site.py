"""`calibrate_site` on made-up recordings: what it fits, what it never looks at, what it refuses."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import pipeline.calibrate
from pipeline.calibrate import CalibrateOptions, Recording, calibrate_site, check_rows
from pipeline.cli.app import app
from pipeline.errors import UsageError
from pipeline.evaluation.manifest import Listing, Presentation, read_manifest
from pipeline.liveness.calibration import Calibration, Provenance
from pipeline.liveness.passive import PassiveScorer
from pipeline.liveness.site import NetMark, SiteFile, parse_site_file

SHIPPED = Calibration(
    nets=("fake",), slope=0.6, intercept=0.4, bound=4.4, rho=0.5, tau_s=0.2,
    provenance=Provenance(
        data=("made up",), subjects=1, live_pictures=1, attack_pictures=1, attacks=81, clips=8, command="",
        date="2026-01-01",
    ),
)  # fmt: skip
NETS = (NetMark(name="fake", sha256="0" * 64),)


def item(name: str, live: bool, species: str, subject: str) -> Presentation:
    return Presentation(name, Path("/nowhere") / name, live, species, subject, "", 2)


def recording(
    name: str, live: bool, subject: str, mean: float, rng: np.random.Generator, *, species: str = "print",
    clip: bool = True, frames: int = 60,
) -> Recording:  # fmt: skip
    odds = mean + rng.normal(0, 1.0, frames) if frames else np.empty(0)
    row = item(name, live, "" if live else species, subject)
    t = np.arange(frames) / 15 if clip else np.zeros(frames)
    return Recording(live, "" if live else species, subject, clip, 1, 0.0, t, odds, (row,))


def site(
    people: int = 20,
    each: int = 7,
    *,
    attacks: bool = True,
    apart: float = 4.0,
    seed: int = 0,
    clip: bool = True,
) -> list[Recording]:
    rng = np.random.default_rng(seed)
    found = []
    for p in range(people):
        for k in range(each):
            mean = rng.normal(0, 0.7)
            found.append(
                recording(
                    f"secret name {p}/live{k}.mp4", True, f"secret name {p}", apart + mean, rng, clip=clip
                )
            )
            if attacks:
                species = "print" if k % 2 else "replay"
                found.append(
                    recording(
                        f"secret name {p}/fake{k}.mp4", False, f"secret name {p}", -apart + mean, rng,
                        species=species, clip=clip,
                    )
                )  # fmt: skip
    return found


def listing(recordings: Sequence[Recording]) -> Listing[Presentation]:
    return Listing("m.tsv", "a" * 64, tuple(row for r in recordings for row in r.items), 0)


def run(recordings: Sequence[Recording], **changes: object) -> SiteFile:
    options = CalibrateOptions(**changes)  # type: ignore[arg-type]
    return calibrate_site(listing(recordings), recordings, SHIPPED, NETS, options)


def test_a_site_with_enough_data_gets_a_line_and_exact_intervals_of_the_other_half() -> None:
    recordings = site()
    file = run(recordings)
    assert file.slope > 0
    assert file.bound == pytest.approx(np.log(70 + 1), abs=1e-3)
    part = file.provenance.check
    assert (part.live, part.attacks, part.live_subjects) == (70, 70, 10)
    assert set(part.apcer) == {"print", "replay"}
    assert part.apcer["print"].errors == 0
    n = part.apcer["print"].n
    assert part.apcer["print"].ci95 == pytest.approx((0.0, 1 - 0.025 ** (1 / n)), abs=1e-5)
    assert part.bpcer.errors < 7
    assert file.provenance.correlation.measured
    assert file.provenance.correlation.clips == 140
    assert file == parse_site_file(file.model_dump_json())
    assert file == run(recordings)


def test_the_file_holds_no_subject_no_path_and_no_folder() -> None:
    text = run(site()).model_dump_json()
    assert "secret" not in text
    assert "nowhere" not in text
    assert ".mp4" not in text


def test_what_is_checked_does_not_move_what_was_fitted() -> None:
    recordings = site()
    file = run(recordings)
    held = {row.name for row in check_rows(listing(recordings), file)}
    assert 0 < len(held) < len(recordings)
    assert not {r.subject for r in recordings if r.items[0].name in held} & {
        r.subject for r in recordings if r.items[0].name not in held
    }
    worse = [
        replace(r, log_odds=r.log_odds - 3.0) if r.live and r.items[0].name in held else r for r in recordings
    ]
    other = run(worse)
    for name in ("slope", "intercept", "bound", "rho", "tau_s", "target_apcer", "target_bpcer"):
        assert getattr(other, name) == getattr(file, name)
    assert other.provenance.fit == file.provenance.fit
    assert other.provenance.check.bpcer.errors > file.provenance.check.bpcer.errors


def test_another_seed_is_another_split() -> None:
    recordings = site()
    held = [{row.name for row in check_rows(listing(recordings), run(recordings, seed=s))} for s in (0, 1)]
    assert held[0] != held[1]


@pytest.mark.parametrize(
    ("recordings", "match"),
    [
        (
            site(people=20, each=4),
            r"checked has 40 attack presentations .* it takes 59 of 5 people.*rule of three",
        ),
        (site(people=8, each=30), r"4 people; it takes 29 of 5"),
        (site(people=12, each=4, attacks=False), r"checked has 24 live presentations .* it takes 29"),
    ],
)
def test_too_little_data_is_refused_with_what_it_takes(recordings: list[Recording], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        run(recordings)


def test_rows_without_a_subject_are_refused_since_a_person_could_be_in_both_parts() -> None:
    recordings = site()
    first = recordings[0]
    recordings[0] = replace(first, subject="", items=(replace(first.items[0], subject=""),))
    with pytest.raises(UsageError, match=r"1 rows name no subject.*line 2"):
        run(recordings)


def test_attacks_that_pass_in_the_check_leave_no_file() -> None:
    recordings = site()
    held = {row.name for row in check_rows(listing(recordings), run(recordings))}
    fooled = [
        replace(r, log_odds=r.log_odds + 8.0) if not r.live and r.items[0].name in held else r
        for r in recordings
    ]
    with pytest.raises(UsageError, match=r"of \d+ attacks .*pass.*no file is written"):
        run(fooled)


def test_nets_that_see_no_difference_here_are_refused() -> None:
    with pytest.raises(UsageError, match=r"as live as people|no threshold keeps"):
        run(site(apart=-1.0))


def test_an_apcer_that_so_few_attacks_can_t_carry_is_refused_with_their_number() -> None:
    with pytest.raises(UsageError, match=r"takes \d+ attack presentations in the fit"):
        run(site(), target_apcer=1e-4)


def test_live_recordings_alone_keep_the_shipped_line_and_say_so() -> None:
    file = run(site(attacks=False))
    assert (file.slope, file.intercept, file.bound) == (SHIPPED.slope, SHIPPED.intercept, SHIPPED.bound)
    assert file.provenance.mode == "live_only"
    assert file.provenance.check.apcer == {}
    assert "only BPCER was checked" in file.provenance.notes[0]
    assert file.rho >= SHIPPED.rho


def test_live_pictures_alone_are_all_checked_since_nothing_is_fitted() -> None:
    recordings = site(attacks=False, clip=False, people=6)
    file = run(recordings)
    assert file.provenance.fit is None
    assert file.provenance.check.live == 42
    assert len(check_rows(listing(recordings), file)) == 42
    assert (file.rho, file.tau_s) == (SHIPPED.rho, SHIPPED.tau_s)


def test_what_shows_no_face_counts_as_not_accepted() -> None:
    recordings = site()
    held = {row.name for row in check_rows(listing(recordings), run(recordings))}
    none = np.empty(0)
    blind = [
        replace(r, log_odds=none, t=none) if r.live and r.items[0].name in held else r for r in recordings
    ]
    part = run(blind).provenance.check
    assert (part.no_response, part.bpcer.errors, part.refused.errors) == (70, 70, 0)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[CliRunner, Path]:
    """The command with made-up scores for the files that its manifest names."""
    recordings = site()
    lines = ["path\tlabel\tspecies\tsubject\tgroup"]
    for r in recordings:
        row = r.items[0]
        label = "live" if row.live else "spoof"
        lines.append("\t".join([row.name, label, row.species or "none", row.subject, ""]))
    path = tmp_path / "m.tsv"
    path.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(pipeline.calibrate, "read_recordings", lambda *a, **k: recordings)
    return CliRunner(), path


def test_the_command_writes_the_file_the_rows_and_one_json_line(
    command: tuple[CliRunner, Path], tmp_path: Path
) -> None:
    runner, manifest = command
    out, rest = tmp_path / "new" / "site.json", tmp_path / "rest.tsv"
    done = runner.invoke(
        app, ["calibrate", str(manifest), "--out", str(out), "--check-out", str(rest), "--json"]
    )
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert (found["event"], found["file"]) == ("calibration", str(out))
    file = parse_site_file(out.read_text())
    assert {net.name for net in file.nets} == {"fr_liveness", "livegate_pad"}
    rows = read_manifest(rest).rows
    assert len(rows) == 140
    assert {row.path for row in rows} < {row.path for row in read_manifest(manifest).rows}


def test_the_command_prints_the_check_part_for_people(
    command: tuple[CliRunner, Path], tmp_path: Path
) -> None:
    runner, manifest = command
    done = runner.invoke(app, ["calibrate", str(manifest), "--out", str(tmp_path / "s.json")])
    assert done.exit_code == 0
    assert "APCER" in done.stdout
    assert "BPCER" in done.stdout


def test_a_manifest_without_subjects_is_refused_before_anything_is_scored(
    command: tuple[CliRunner, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, _ = command
    bare = tmp_path / "bare.tsv"
    bare.write_text("path\tlabel\tspecies\na.png\tlive\tnone\n")
    monkeypatch.setattr(PassiveScorer, "load", types.MethodType(lambda *a, **k: sys.exit(99), PassiveScorer))
    done = runner.invoke(app, ["calibrate", str(bare), "--out", str(tmp_path / "s.json")])
    assert isinstance(done.exception, UsageError)
