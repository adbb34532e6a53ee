"""The demonstration's report: one HTML file with its pictures inside, and the annotated picture beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from jinja2 import Environment, PackageLoader, select_autoescape

from pipeline.camera.frame import Image
from pipeline.vision.types import View

GREEN, RED = (80, 200, 60), (60, 60, 230)
"""BGR."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One run of the gate in the report.

    Attributes:
        title: what was shown to the gate.
        command: the command line, without personal data.
        result: the result's JSON.
        picture: the judged or first seen frame with its annotation, uint8 (height, width, 3), BGR.
        note: one sentence on what the picture shows.
    """

    title: str
    command: str
    result: dict[str, Any]
    picture: Image
    note: str


def annotate(image: Image, view: View, *, passed: bool, caption: str) -> Image:
    """Draw the face's box, its mesh and a caption on a copy.

    Args:
        image: uint8 (height, width, 3), BGR.
        view: what vision says of it.
        passed: green, or red.
        caption: ASCII, drawn at the top.

    Returns:
        uint8 (height, width, 3), BGR.
    """
    out = image.copy()
    colour = GREEN if passed else RED
    if view.face is not None:
        for x, y in view.face.landmarks[:, :2]:
            cv2.circle(out, (round(float(x)), round(float(y))), 1, (235, 220, 140), -1, cv2.LINE_AA)
        x1, y1, x2, y2 = (round(float(v)) for v in view.face.box)
        cv2.rectangle(out, (x1, y1), (x2, y2), colour, 2, cv2.LINE_AA)
    cv2.rectangle(out, (0, 0), (out.shape[1], 30), (24, 24, 24), -1)
    cv2.putText(out, caption, (10, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.55, colour, 1, cv2.LINE_AA)
    return out


def write_report(path: Path, chapters: Sequence[Chapter], facts: dict[str, str]) -> None:
    """Write the HTML report.

    Args:
        path: the file to write.
        chapters: one for each run.
        facts: versions and machine, by name.
    """
    environment = Environment(loader=PackageLoader("pipeline.demo"), autoescape=select_autoescape())
    template = environment.get_template("report.html")
    pictures = [_data_url(chapter.picture) for chapter in chapters]
    html = template.render(chapters=list(zip(chapters, pictures, strict=True)), facts=facts)
    path.write_text(html, encoding="utf-8")


def _data_url(image: Image) -> str:
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise ValueError("the picture can't be encoded")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
