"""What a fleet of kiosks and the gateway behind it cost, on paper; docs/fleet-cost.md tells what is meant.

    python -m benchmarks.fleet_cost [--kiosks 10000] [--price-core-hour 0.04] ...

Nothing is measured here: every input is a flag, with what was measured or assumed as its default.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields

DAY_S = 86_400
MONTH_DAYS = 30
GB = 1e9


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs; the first part was measured, the second is assumed, the third are prices to be replaced.

    Attributes:
        device_clear_ms: processor time of a check that is clear, on the kiosk.
        device_open_ms: of one that stays open to its deadline.
        device_upload_ms: of digest, JPEG and signed request.
        upload_bytes: form body of a match.
        gateway_ms: processor time of a match in the gateway's processes.
        row_bytes: growth of the database by a match: an audit row, a nonce.
        evidence_bytes: a sealed picture.
        redis_calls: scripts that a match runs on Redis, where there is one.
        kiosks: how many.
        checks_day: checks of a kiosk in a day.
        open_share: of checks, those that are not clear.
        match_share: of checks, those that lead to a match.
        peak_hour: share of a day's checks in its busiest hour.
        burst: rate of the busiest second over that hour's mean.
        extra_bytes: of a match on the line besides: TLS, headers, answer.
        database_ms: processor time of a match in the database's own processes.
        busy: share of a core that is planned to be used at the peak.
        worker_gb: memory of a gateway process, one a core.
        evidence_days: retention.
        audit_days: for how long audit rows are kept.
        replicas: copies of everything that is stored.
        price_core_hour: of a server's core with its memory.
        price_disk: of a GB of database disk in a month.
        price_object: of a GB of sealed pictures in a month.
        price_traffic: of a GB that comes in.
    """

    device_clear_ms: float = 115.0
    device_open_ms: float = 537.0
    device_upload_ms: float = 2.8
    upload_bytes: float = 96_482.0
    gateway_ms: float = 51.2
    row_bytes: float = 410.0
    evidence_bytes: float = 68_000.0
    redis_calls: float = 4.0

    kiosks: float = 10_000.0
    checks_day: float = 100.0
    open_share: float = 0.10
    match_share: float = 0.85
    peak_hour: float = 0.15
    burst: float = 2.0
    extra_bytes: float = 8_000.0
    database_ms: float = 20.0
    busy: float = 0.6
    worker_gb: float = 0.4
    evidence_days: float = 180.0
    audit_days: float = 365.0
    replicas: float = 2.0

    price_core_hour: float = 0.04
    price_disk: float = 0.10
    price_object: float = 0.02
    price_traffic: float = 0.0


def rows(given: Inputs) -> list[tuple[str, float, str]]:
    """Results in the order of the arithmetic: what, how much, unit."""
    checks = given.kiosks * given.checks_day
    matches = checks * given.match_share
    peak = matches * given.peak_hour / 3600 * given.burst
    device = (
        (1 - given.open_share) * given.device_clear_ms
        + given.open_share * given.device_open_ms
        + given.match_share * given.device_upload_ms
    )
    gateway = peak * given.gateway_ms / 1e3 / given.busy
    database = peak * given.database_ms / 1e3 / given.busy
    line = given.upload_bytes + given.extra_bytes
    audit = matches * given.audit_days * given.row_bytes / GB * given.replicas
    evidence = matches * given.evidence_days * given.evidence_bytes / GB * given.replicas
    cores = given.replicas * (gateway + database)
    month = {
        "cores": cores * 24 * MONTH_DAYS * given.price_core_hour,
        "database disk": audit * given.price_disk,
        "sealed pictures": evidence * given.price_object,
        "traffic": matches * MONTH_DAYS * line / GB * given.price_traffic,
    }
    total = sum(month.values())
    return [
        ("checks a day", checks, ""),
        ("matches a day", matches, ""),
        ("matches a second, mean", matches / DAY_S, "1/s"),
        ("matches a second, peak", peak, "1/s"),
        ("kiosk: processor time of a check", device, "ms"),
        ("kiosk: processor time a day", device * given.checks_day / 1e3, "s"),
        ("kiosk: upload a day", given.checks_day * given.match_share * line / 1e6, "MB"),
        ("gateway: cores at the peak", gateway, "cores"),
        ("database: cores at the peak", database, "cores"),
        ("cores with replicas", cores, "cores"),
        ("gateway: memory with replicas", given.replicas * gateway * given.worker_gb, "GB"),
        ("line at the peak", peak * line * 8 / 1e6, "Mbit/s"),
        ("traffic in a month", matches * MONTH_DAYS * line / GB, "GB"),
        ("audit rows kept, with replicas", audit, "GB"),
        ("sealed pictures kept, with replicas", evidence, "GB"),
        ("Redis scripts at the peak", peak * given.redis_calls, "1/s"),
        *((f"{name}, a month", value, "money") for name, value in month.items()),
        ("all of it, a month", total, "money"),
        ("1,000 verifications", 1e3 * total / (matches * MONTH_DAYS), "money"),
    ]


def main() -> None:
    """Print the inputs and the results as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    for entry in fields(Inputs):
        parser.add_argument(f"--{entry.name.replace('_', '-')}", type=float, default=entry.default)
    given = Inputs(**vars(parser.parse_args()))
    print("| input | |\n|---|---|")
    print("\n".join(f"| {entry.name} | {getattr(given, entry.name):,g} |" for entry in fields(given)))
    print("\n| result | | |\n|---|---|---|")
    for name, value, unit in rows(given):
        print(f"| {name} | {value:,.3g} | {unit} |" if value < 100 else f"| {name} | {value:,.0f} | {unit} |")


if __name__ == "__main__":
    main()
