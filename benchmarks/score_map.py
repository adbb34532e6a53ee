"""Measure the map from cosine to the gateway's score on one half of the people, and check it on the other.

    python -m benchmarks.score_map --data ../shared/data [--cache FILE.npz] [--out FILE.json]

The path from picture to embedding is the product's own (`NetEmbedder.read`: detector, mesh, alignment, net).

- Impostor pairs: every two pictures of different people inside one half, over the 400 people of
  `verification/lfw_deepfunneled` and the 1,200 of `faces/lfw_single`; a person's half is a bit of the SHA-256
  of the name. They are many but not independent: n pictures make n(n-1)/2 pairs. So every rate has two
  intervals: the exact one (Clopper and Pearson, 1934), which takes pairs for independent and is too narrow,
  and one from resampling people, which is not.
- The fit takes, for each wanted false-accept rate, the lowest cosine that no more of the fit half's impostor
  pairs reach.
- The check half gives the rates at those cosines: false accepts, and false rejects over its genuine pairs.
- Webcam check: `pairs_nuaa_raw.tsv`, genuine pairs across sessions that are days apart. Eight people: only 28
  pairs of people stand behind all its impostor pairs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.gateway.faces import NetEmbedder
from pipeline.gateway.scoring import MARKS
from pipeline.nets import open_store

F64 = NDArray[np.float64]

TARGETS = tuple(mark.far for mark in MARKS)
RESAMPLES = 1000
SEED = 7


def main() -> None:
    """Embed, fit, check, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--cache", type=Path, help="keep the embeddings here between runs, outside the project"
    )
    parser.add_argument("--out", type=Path, help="write all numbers as JSON")
    arguments = parser.parse_args()

    embedder = NetEmbedder(open_store())
    nuaa = read_pairs(arguments.data / "pairs_nuaa_raw.tsv")
    official = read_pairs(arguments.data / "pairs_lfw_deepfunneled.tsv")
    people = {
        **{
            str(p.relative_to(arguments.data)): p.parent.name
            for p in pictures(arguments.data / "verification")
        },
        **{str(p.relative_to(arguments.data)): p.stem[:-5] for p in pictures(arguments.data / "faces")},
    }
    files = sorted({*people, *(path for a, b, _ in nuaa for path in (a, b))})
    found = embed_all(embedder, arguments.data, files, arguments.cache)

    halves = [half(people, found, wanted) for wanted in (0, 1)]
    thresholds = fit(*halves[0])
    report: dict[str, Any] = {
        "model": {"name": embedder.model.name, "sha256": embedder.model.sha256},
        "machine": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "opencv-python", "onnxruntime")},
        "pictures": len(files),
        "without_a_face": len(files) - len(found),
        "fit": describe(*halves[0], thresholds),
        "check": describe(*halves[1], thresholds),
        "lfw_pairs": pair_rates(official, found, thresholds),
        "nuaa_cross_session": pair_rates(nuaa, found, thresholds, keep=across_sessions),
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(report)


def pictures(folder: Path) -> list[Path]:
    """All .jpg under a folder, sorted."""
    return sorted(folder.rglob("*.jpg"))


def read_pairs(path: Path) -> list[tuple[str, str, bool]]:
    """Rows of a pair table: two paths and whether they show one person."""
    rows = (line.split("\t") for line in path.read_text("utf-8").splitlines()[1:])
    return [(a, b, same == "1") for a, b, same in rows]


def across_sessions(a: str, b: str) -> bool:
    """NUAA names are ID_glasses_pos_session_picture: are these two from different sessions?"""
    return Path(a).stem.split("_")[3] != Path(b).stem.split("_")[3]


def embed_all(embedder: NetEmbedder, root: Path, files: list[str], cache: Path | None) -> dict[str, F64]:
    """Embeddings by file; files without a face are left out."""
    key = f"{embedder.model.name} {embedder.model.sha256}"
    done: dict[str, F64] = {}
    if cache is not None and cache.is_file():
        with np.load(cache) as stored:
            if str(stored["key"]) == key and list(stored["files"]) == files:
                kept = stored["found"]
                return {f: e for f, e, k in zip(files, stored["embeddings"], kept, strict=True) if k}
    for number, file in enumerate(files, 1):
        image = cv2.imread(str(root / file), cv2.IMREAD_COLOR)
        reading = None if image is None else embedder.read(np.asarray(image, np.uint8))
        if reading is not None:
            done[file] = reading.embedding.astype(np.float64)
        if number % 500 == 0:
            print(f"{number} of {len(files)} pictures", file=sys.stderr)
    if cache is not None:
        empty = np.zeros(512)
        np.savez_compressed(
            cache,
            key=key,
            files=files,
            found=[file in done for file in files],
            embeddings=[done.get(file, empty) for file in files],
        )
    return done


def half(people: dict[str, str], found: dict[str, F64], wanted: int) -> tuple[F64, NDArray[np.int64]]:
    """Cosines between all pictures of one half of the people (n, n), and the person of each (n,)."""
    names = sorted({n for n in people.values() if hashlib.sha256(n.encode()).digest()[0] & 1 == wanted})
    number = {name: index for index, name in enumerate(names)}
    chosen = [file for file in sorted(people) if file in found and people[file] in number]
    vectors = np.stack([found[file] for file in chosen])
    return vectors @ vectors.T, np.array([number[people[file]] for file in chosen])


def split(cosines: F64, person: NDArray[np.int64]) -> tuple[F64, F64]:
    """Impostor and genuine cosines, each pair once."""
    upper = np.triu(np.ones(cosines.shape, bool), 1)
    same = person[:, None] == person[None, :]
    return cosines[upper & ~same], cosines[upper & same]


def fit(cosines: F64, person: NDArray[np.int64]) -> list[float]:
    """For each target, the lowest cosine that at most that share of the impostor pairs reaches."""
    impostor = np.sort(split(cosines, person)[0])[::-1]
    return [float(np.nextafter(impostor[math.floor(target * impostor.size)], 2.0)) for target in TARGETS]


def describe(cosines: F64, person: NDArray[np.int64], thresholds: list[float]) -> dict[str, Any]:
    """Counts, rates and intervals of one half."""
    impostor, genuine = split(cosines, person)
    rates = []
    for target, threshold, resampled in zip(
        TARGETS, thresholds, resample(cosines, person, thresholds), strict=True
    ):
        accepted, rejected = int((impostor >= threshold).sum()), int((genuine < threshold).sum())
        rates.append(
            {
                "target": target,
                "cosine": threshold,
                "false_accepts": accepted,
                "far": accepted / impostor.size,
                "far_exact_95": exact_interval(accepted, impostor.size),
                "far_people_95": resampled,
                "false_rejects": rejected,
                "frr": rejected / genuine.size,
                "frr_exact_95": exact_interval(rejected, genuine.size),
            }
        )
    return {
        "people": len(set(person.tolist())),
        "pictures": len(person),
        "impostor_pairs": int(impostor.size),
        "genuine_pairs": int(genuine.size),
        "genuine_people": int((np.bincount(person) > 1).sum()),
        "impostor_median": float(np.median(impostor)),
        "rates": rates,
    }


def resample(cosines: F64, person: NDArray[np.int64], thresholds: Iterable[float]) -> list[list[float]]:
    """95 % intervals of the false-accept rate, from drawing people with replacement, all pictures of each."""
    count = int(person.max()) + 1
    member = np.zeros((len(person), count))
    member[np.arange(len(person)), person] = 1
    pairs = member.T @ np.ones(cosines.shape) @ member
    np.fill_diagonal(pairs, 0)
    weights = (
        np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)
    )
    all_pairs = np.einsum("ri,ri->r", weights @ pairs, weights)
    intervals = []
    for threshold in thresholds:
        accepted = member.T @ (cosines >= threshold).astype(float) @ member
        np.fill_diagonal(accepted, 0)
        rate = np.einsum("ri,ri->r", weights @ accepted, weights) / all_pairs
        intervals.append([float(v) for v in np.percentile(rate, [2.5, 97.5])])
    return intervals


def pair_rates(
    pairs: list[tuple[str, str, bool]],
    found: dict[str, F64],
    thresholds: list[float],
    keep: Any = None,
) -> dict[str, Any]:
    """Rates over a given list of pairs; `keep` chooses among its genuine pairs."""
    usable = [(found[a] @ found[b], same, a, b) for a, b, same in pairs if a in found and b in found]
    genuine = np.array([c for c, same, a, b in usable if same and (keep is None or keep(a, b))])
    impostor = np.array([c for c, same, *_ in usable if not same])
    rates = []
    for target, threshold in zip(TARGETS, thresholds, strict=True):
        accepted, rejected = int((impostor >= threshold).sum()), int((genuine < threshold).sum())
        rates.append(
            {
                "target": target,
                "far": accepted / impostor.size,
                "far_exact_95": exact_interval(accepted, impostor.size),
                "frr": rejected / genuine.size,
                "frr_exact_95": exact_interval(rejected, genuine.size),
            }
        )
    return {
        "impostor_pairs": int(impostor.size),
        "genuine_pairs": int(genuine.size),
        "genuine_cosine_1_50_percent": [float(v) for v in np.percentile(genuine, [1, 50])],
        "rates": rates,
    }


def exact_interval(k: int, n: int, level: float = 0.95) -> list[float]:
    """Clopper and Pearson's interval of a share k / n, by bisection on the binomial's tails."""
    tail = (1 - level) / 2
    counts = np.arange(k + 1)
    choose = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in counts])

    def at_most(upto: int, p: float) -> float:
        logs = (
            choose[: upto + 1] + counts[: upto + 1] * math.log(p) + (n - counts[: upto + 1]) * math.log1p(-p)
        )
        return float(np.exp(logs).sum())

    def solve(upto: int, wanted: float) -> float:
        low, high = 1e-15, 1 - 1e-15
        for _ in range(100):
            middle = math.sqrt(low * high) if high < 0.1 else (low + high) / 2
            low, high = (middle, high) if at_most(upto, middle) > wanted else (low, middle)
        return high

    lower = 0.0 if k == 0 else solve(k - 1, 1 - tail)
    upper = 1.0 if k == n else solve(k, tail)
    return [lower, upper]


def show(report: dict[str, Any]) -> None:
    """Tables for people."""
    print(f"model {report['model']['name']} {report['model']['sha256'][:16]}", end=", ")
    print(f"{report['pictures']} pictures, {report['without_a_face']} without a face")
    for name in ("fit", "check"):
        part = report[name]
        print(f"\n{name}: {part['people']} people, {part['pictures']} pictures, ", end="")
        print(f"{part['impostor_pairs']} impostor and {part['genuine_pairs']} genuine pairs", end=" ")
        print(f"(of {part['genuine_people']} people), impostor median {part['impostor_median']:.4f}")
        print("| score | cosine | wanted FAR | FAR | exact 95 % | people 95 % | FRR % | exact 95 % |")
        print("|---|---|---|---|---|---|---|---|")
        for mark, rate in zip(MARKS, part["rates"], strict=True):
            far, people = rate["far_exact_95"], rate["far_people_95"]
            print(
                f"| {mark.score:g} | {rate['cosine']:.4f} | {rate['target']:.2e} | {rate['far']:.2e}", end=" "
            )
            print(f"({rate['false_accepts']}) | {far[0]:.1e} .. {far[1]:.1e}", end=" | ")
            print(f"{people[0]:.1e} .. {people[1]:.1e} | {100 * rate['frr']:.2f}", end=" | ")
            print("{:.2f} .. {:.2f} |".format(*(100 * v for v in rate["frr_exact_95"])))
    for name in ("lfw_pairs", "nuaa_cross_session"):
        part = report[name]
        print(
            f"\n{name}: {part['impostor_pairs']} impostor and {part['genuine_pairs']} genuine pairs, ", end=""
        )
        print("genuine cosine at 1 % {:.3f}, median {:.3f}".format(*part["genuine_cosine_1_50_percent"]))
        print("| score | FAR | exact 95 % | FRR % | exact 95 % |\n|---|---|---|---|---|")
        for mark, rate in zip(MARKS, part["rates"], strict=True):
            far, frr = rate["far_exact_95"], [100 * v for v in rate["frr_exact_95"]]
            print(f"| {mark.score:g} | {rate['far']:.2e} | {far[0]:.1e} .. {far[1]:.1e}", end=" ")
            print(f"| {100 * rate['frr']:.2f} | {frr[0]:.2f} .. {frr[1]:.2f} |")


if __name__ == "__main__":
    main()
