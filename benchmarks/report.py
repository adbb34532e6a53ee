"""The JSON that every sub-command writes. `Report` is its schema, checked on writing and on reading.

Schema 1. Fields are only ever added; a change of meaning makes it schema 2.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.harness import BLOCK, MIN_REPEATS, SETTLE, WARM_UP, Times
from benchmarks.machine import facts, load
from benchmarks.samples import median_ratio, summarise

SCHEMA: Final = 1
FEWEST_BLOCKS: Final = 5
"""A trial's blocks are cut so that there are so many at least: of one block there is nothing to draw."""
_DIGITS: Final = 6


class Part(BaseModel):
    """What all parts of a report share: unknown fields and numbers that are none are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Marks(Part):
    """Marks of a sample, in the case's unit."""

    n: int = Field(ge=1)
    mean: float
    min: float
    p25: float
    median: float
    p75: float
    p95: float
    p99: float
    max: float
    iqr: float


class Case(Part):
    """Something that was measured many times.

    Attributes:
        name: unique in the report, the key of `compare`.
        group: cases of one group were measured in turn in one run and may be set against each other.
        ours: False for a peer and for a floor.
        unit: of marks and samples.
        better: which way is better.
        threads: onnxruntime threads of our nets; None where it is the peer's own choice.
        cores: cores that it was held to; None where the system can't, or where none were chosen.
        block: successive samples that were taken in one go.
        cpu_ms: processor time of one call, all threads; None where it was not measured.
        found: share of calls that found what they looked for.
        samples: in the order in which they were taken.
    """

    name: str = Field(min_length=1)
    group: str = Field(min_length=1)
    ours: bool = True
    unit: str = "ms"
    better: Literal["lower", "higher"] = "lower"
    threads: int | None = Field(None, ge=1)
    cores: tuple[int, ...] | None = None
    block: int = Field(1, ge=1)
    cpu_ms: float | None = Field(None, ge=0)
    found: float | None = Field(None, ge=0, le=1)
    note: str = ""
    marks: Marks
    samples: tuple[float, ...]


class Number(Part):
    """Something that was measured once, or computed from cases."""

    name: str
    value: float
    unit: str
    note: str = ""


class Comparison(Part):
    """How many times the median of `over` is that of `under`, with its 95 % interval."""

    over: str
    under: str
    ratio: float
    low: float
    high: float


class Target(Part):
    """A target of this project and whether it was met; missed ones are published like the others."""

    name: str
    wanted: str
    value: float
    unit: str
    met: bool


class NotRun(Part):
    """A peer or a part that could not be run here."""

    name: str
    reason: str


class Series(Part):
    """A curve, resident memory over frames for instance."""

    name: str
    x_unit: str
    y_unit: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class Protocol(Part):
    """How it was timed; README.md tells what each word means."""

    clock: str = "time.perf_counter_ns"
    warm_up: int = WARM_UP
    block: int = BLOCK
    settle: int = SETTLE
    repeats: int = Field(ge=1)
    order: str = "blocks of all cases of a group in turn, in a new order each round"
    garbage_collector: str = "collected between blocks, off inside"
    opencv_threads: int = 1
    seed: int = 0


class Report(Part):
    """One run of one sub-command."""

    schema_: int = Field(SCHEMA, alias="schema", ge=SCHEMA, le=SCHEMA)
    benchmark: str
    command: str
    date: str
    trial: bool
    protocol: Protocol
    machine: dict[str, Any]
    load_before: float | None
    load_after: float | None
    seconds: float = Field(ge=0)
    cases: tuple[Case, ...] = ()
    numbers: tuple[Number, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    targets: tuple[Target, ...] = ()
    series: tuple[Series, ...] = ()
    not_run: tuple[NotRun, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a report.

        Raises:
            ValueError: it can't be read, is no JSON or not of this schema; the message names the file.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"{path} can't be read: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{path} is no report of schema {SCHEMA}: {where}: {first['msg']}") from None

    def write(self, path: Path) -> None:
        """Write it, and check that it reads back."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text() + "\n", encoding="utf-8")
        Report.read(path)

    def text(self) -> str:
        """JSON with one case, number, comparison and so on per line."""
        body = self.model_dump(mode="json", by_alias=True)
        lines = []
        for name, value in body.items():
            written = json.dumps(value, ensure_ascii=False)
            if isinstance(value, list) and value:
                rows = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value)
                written = f"[\n  {rows}\n ]"
            lines.append(f" {json.dumps(name)}: {written}")
        return "{\n" + ",\n".join(lines) + "\n}"


class Book:
    """Collects a report while things are measured.

    Args:
        benchmark: name of the sub-command.
        command: command line that repeats it.
        repeats: counted calls of each case that were asked for.
        seed: of orders, pictures and draws.
    """

    def __init__(self, benchmark: str, command: str, *, repeats: int, seed: int = 0) -> None:
        self._head = {"benchmark": benchmark, "command": command}
        self._protocol = Protocol(repeats=repeats, seed=seed)
        self._began = datetime.now(UTC)
        self._load = load()
        self._machine = facts()  # now: later this process is held to some cores
        self.cases: dict[str, Case] = {}
        self.numbers: list[Number] = []
        self.comparisons: list[Comparison] = []
        self.targets: list[Target] = []
        self.series: list[Series] = []
        self.not_run: list[NotRun] = []

    @property
    def seed(self) -> int:
        """Of orders, pictures and draws."""
        return self._protocol.seed

    @property
    def busy(self) -> bool:
        """True where the machine had a load above half of its cores when this began."""
        cores = self._machine.get("cores")
        return self._load is not None and isinstance(cores, int) and self._load > cores / 2

    def add_times(self, name: str, group: str, times: Times, **about: Any) -> Case:
        """Add a case that `harness.alternate` measured."""
        return self.add_case(
            name,
            group,
            times.ms,
            block=BLOCK - SETTLE,
            cpu_ms=round(times.cpu_ms, _DIGITS),
            found=times.found / times.calls,
            **about,
        )

    def add_case(self, name: str, group: str, samples: list[float], **about: Any) -> Case:
        """Add a case. See `Case` for the names of what else is told about it.

        Raises:
            ValueError: the name is taken, or a sample is no number.
        """
        if name in self.cases:
            raise ValueError(f"{name} was measured already")
        summary = summarise(samples)
        marks = {**summary._asdict(), "iqr": summary.iqr}
        case = Case(
            name=name,
            group=group,
            marks=Marks(**{key: round(value, _DIGITS) for key, value in marks.items()}),
            samples=tuple(round(float(value), _DIGITS) for value in samples),
            **about,
        )
        self.cases[name] = case
        return case

    def add_number(self, name: str, value: float, unit: str, note: str = "") -> None:
        """Add a single number."""
        self.numbers.append(Number(name=name, value=round(value, _DIGITS), unit=unit, note=note))

    def compare(self, over: str, under: str) -> Comparison:
        """Set two cases of one group against each other; their blocks were taken in the same rounds."""
        a, b = self.cases[over], self.cases[under]
        paired = a.group == b.group and len(a.samples) == len(b.samples)
        block = min(a.block, max(1, len(a.samples) // FEWEST_BLOCKS))
        ratio = median_ratio(a.samples, b.samples, block=block, paired=paired, seed=self.seed)
        values = {key: round(value, 4) for key, value in ratio._asdict().items()}
        self.comparisons.append(Comparison(over=over, under=under, **values))
        return self.comparisons[-1]

    def target(
        self, name: str, value: float, unit: str, *, most: float | None = None, least: float | None = None
    ) -> None:
        """State a target as a largest or a least value, and whether it was met."""
        wanted = f"at most {most:g} {unit}" if most is not None else f"at least {least:g} {unit}"
        met = value <= most if most is not None else value >= (least or 0.0)
        self.targets.append(Target(name=name, wanted=wanted, value=round(value, 4), unit=unit, met=bool(met)))

    def skip(self, name: str, reason: str) -> None:
        """Tell that something was not run, and why."""
        self.not_run.append(NotRun(name=name, reason=reason))

    def close(self) -> Report:
        """The report."""
        ended = datetime.now(UTC)
        return Report(
            schema=SCHEMA,
            **self._head,
            date=self._began.isoformat(timespec="seconds"),
            trial=self._protocol.repeats < MIN_REPEATS,
            protocol=self._protocol,
            machine=self._machine,
            load_before=self._load,
            load_after=load(),
            seconds=round((ended - self._began).total_seconds(), 1),
            cases=tuple(self.cases.values()),
            numbers=tuple(self.numbers),
            comparisons=tuple(self.comparisons),
            targets=tuple(self.targets),
            series=tuple(self.series),
            not_run=tuple(self.not_run),
        )
