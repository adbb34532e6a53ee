"""Fakes and readers that the tests of the reports share."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.camera import Image

NAN = float("nan")


@dataclass(frozen=True)
class FakeRecord:
    path: Path
    faces: int
    score: float | None
    live: bool | None
    reason: str | None
    ms: float


class FakeScorer:
    """Answers by file name: ``0.7.png`` scores 0.7; a word before it is the reason, and the verdict no."""

    threshold = 0.5
    nets = ("fake_net",)

    def __init__(self) -> None:
        self.seen: list[Path] = []

    def score(self, path: Path) -> FakeRecord:
        self.seen.append(path)
        *words, value = path.name.removesuffix(path.suffix).split("@")[0].split("-")
        reason = words[0] if words else None
        if value == "none":
            return FakeRecord(path, 0, None, None, reason, 2.0)
        score = float(value)
        return FakeRecord(path, 1, score, score >= self.threshold and reason is None, reason, 4.0)


def picture(path: Path, level: int = 128, size: tuple[int, int] = (64, 48)) -> Path:
    """A grey picture with a gradient, on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size[1], size[0], 3), level, np.uint8)
    image[:, :, 1] = np.linspace(0, 255, size[0], dtype=np.uint8)
    assert cv2.imwrite(str(path), image)
    return path


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def addresses(self) -> list[str]:
        """Everything that a browser would fetch."""
        names = ("src", "href", "xlink:href", "action", "data", "srcset", "poster")
        found = [value for _, attrs in self.tags for name, value in attrs.items() if name in names and value]
        return [value for value in found if not value.startswith(("#", "data:image/jpeg;base64,"))]


ROWS = """live/0.9@a.png live none ann day
live/0.8@a.png live none bob day
live/0.7@a.png live none cat night
live/0.3@a.png live none dan night
live/no_face-none@a.png live none eve night
spoof/0.6@a.png spoof print ann day
spoof/0.2@a.png spoof print bob day
spoof/0.1@a.png spoof print cat night
spoof/absent@a.png spoof print dan night
spoof/0.75@a.png spoof replay ann day
spoof/several_faces-0.55@a.png spoof replay bob night"""


def manifest(folder: Path, rows: str = ROWS) -> Path:
    lines = [row.split(" ") for row in rows.splitlines()]
    for number, row in enumerate(lines):
        if "absent" not in row[0] and not row[0].endswith(".mp4"):
            picture(folder / row[0], 40 + 15 * number)
    path = folder / "m.tsv"
    header = ["path", "label", "species", "subject", "group"]
    path.write_text("\n".join("\t".join(row) for row in [header, *lines]) + "\n")
    return path


class FakeEmbedder:
    """Embeds a picture by its grey level: the angle in degrees; level 255 shows no face."""

    nets = ("fake_embedding",)

    def __init__(self) -> None:
        self.seen: list[int] = []

    def embed(self, image: Image) -> NDArray[np.float32] | None:
        level = int(image[0, 0, 0])
        self.seen.append(level)
        if level == 255:
            return None
        angle = np.deg2rad(level)
        return np.array([np.cos(angle), np.sin(angle)], np.float32)

    def score(self, cosine: float) -> float:
        return max(0.0, cosine) * 100


# same: 0, 20, 60 degrees apart and one without a face; different: 30, 60, 80, 90 degrees, one missing file
PAIRS = """a0 a0b 1
a0 a20 1
b100 b160 1
a0 a255 1
a0 b30 0
a20 c80 0
a20 b100 0
c80 d170 0
a0 absent 0"""


def pairs(folder: Path, rows: str = PAIRS, header: str = "a\tb\tsame") -> Path:
    lines = [header]
    for row in rows.splitlines():
        cells = row.split(" ")
        for name in cells[:2]:
            if name != "absent":
                picture(folder / f"{name}.png", int(name.strip("abcd")))
        lines.append("\t".join([f"{cells[0]}.png", f"{cells[1]}.png", *cells[2:]]))
    path = folder / "p.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path
