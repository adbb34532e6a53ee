"""The frame that both reports' pages share: one HTML file, its pictures and drawings inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

DASH = "\u2013"


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template of this package; all text is escaped, drawings come in as `Markup`."""
    environment = Environment(
        loader=PackageLoader("pipeline.evaluation"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(pct=pct, ci=ci, whisker=whisker, dec=dec)
    return environment.get_template(template).render(**context)


def pct(value: float | None, digits: int = 2) -> str:
    """A share as a percentage; small ones keep two figures that matter."""
    if value is None:
        return DASH
    if value == 0:
        return "0 %"
    if value < 0.0005:
        return f"{value * 100:.2g} %"
    return f"{value * 100:.{digits}f} %"


def dec(value: float | None, digits: int = 3) -> str:
    """A plain number."""
    return DASH if value is None else f"{value:.{digits}f}"


def ci(ends: Sequence[float] | None) -> str:
    """An interval of shares."""
    return DASH if ends is None else f"{ends[0] * 100:.2f} {DASH} {ends[1] * 100:.2f} %"


def whisker(rate: Mapping[str, Any], scale: float) -> Markup:
    """A rate and its interval on a line from 0 to ``scale``."""
    if rate["value"] is None or rate["ci95"] is None:
        return Markup("")
    low, high = (min(100.0, end / scale * 100) for end in rate["ci95"])
    dot = min(100.0, rate["value"] / scale * 100)
    return Markup(
        '<span class="whisker" aria-hidden="true"><i style="left:{:.1f}%;width:{:.1f}%"></i>'
        '<b style="left:{:.1f}%"></b></span>'
    ).format(low, max(0.0, high - low), dot)
