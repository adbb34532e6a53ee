"""`models/manifest.toml` as checked objects: source, hash, licence and tensors of each model file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pipeline.errors import ModelError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Group = Literal["core", "accurate", "authority", "sample", "optional"]
GROUPS: tuple[Group, ...] = ("core", "accurate", "authority", "sample", "optional")
MANIFEST_NAME = "manifest.toml"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Strict):
    """Where the original file comes from.

    Attributes:
        kind: ``wheel`` and ``npm`` are packages read as archives, ``url`` is a plain download, ``path`` is a
            file that the user brings, ``bundled`` lies beside the manifest.
        package: name in its package registry.
        version: exact version.
        member: path inside the package, then inside the zip found there, and so on; for ``bundled`` the one
            path relative to the manifest.
        url: the file itself, the fallback of a package or the only source.
        archive_size: bytes of the package, for progress only.
        sha256: of the original file.
        size: of the original file, bytes.
    """

    kind: Literal["wheel", "npm", "url", "path", "bundled"]
    package: str = ""
    version: str = ""
    member: tuple[str, ...] = ()
    url: str = ""
    archive_size: int | None = None
    sha256: Sha256
    size: Annotated[int, Field(gt=0)]

    @model_validator(mode="after")
    def _complete(self) -> Source:
        if self.kind in ("wheel", "npm") and not (self.package and self.version and self.member):
            raise ValueError(f"{self.kind} needs package, version and member")
        if self.kind == "url" and not self.url:
            raise ValueError("url needs url")
        if self.kind == "bundled" and len(self.member) != 1:
            raise ValueError("bundled needs one member")
        if any(part.startswith("/") or ".." in part.split("/") for part in self.member):
            raise ValueError("member must be a path below")
        if self.url and not self.url.startswith("https://"):
            raise ValueError("url must be https")
        return self

    @property
    def archive(self) -> tuple[str, str, str]:
        """Key of the package that holds it; members of one archive are fetched together."""
        return self.kind, self.package, self.version

    def describe(self) -> str:
        """One line for people."""
        if self.kind in ("wheel", "npm"):
            return f"{self.kind} {self.package} {self.version}: {' / '.join(self.member)}"
        return {"url": self.url, "path": "a file of yours", "bundled": "part of livegate"}[self.kind]


class Converted(_Strict):
    """The file made from the original, bit for bit the same on every machine.

    Attributes:
        how: ``tflite`` converts to ONNX; ``optimise`` rewrites an ONNX file for speed and frees its batch.
        sha256: of the result.
        size: of the result, bytes.
    """

    how: Literal["tflite", "optimise"]
    sha256: Sha256
    size: Annotated[int, Field(gt=0)]


class InputSpec(_Strict):
    """One input tensor and what belongs in it.

    Attributes:
        name: tensor name in the ONNX file.
        shape: after the batch N.
        layout: meaning of the axes after the batch.
        colour: order of colours, or empty for points.
        range: smallest and largest value of a pixel or coordinate.
        formula: from a pixel 0..255 to that range.
        crop: which part of the frame.
        scale: side of the crop over the face box's longer side.
        border: what stands for pixels outside the frame.
    """

    name: str
    shape: tuple[int, ...]
    layout: Literal["CHW", "points"]
    colour: Literal["RGB", "BGR", ""] = ""
    range: tuple[float, float] | None = None
    formula: str = ""
    crop: str = ""
    scale: float | None = None
    border: str = ""


class OutputSpec(_Strict):
    """One output tensor.

    Attributes:
        name: tensor name in the ONNX file.
        shape: after the batch N.
        meaning: what the numbers are, with their units and order.
        classes: names of the classes by index, where it is a classifier.
        live: index of the live class.
        index: position among the original's outputs, for conversion.
    """

    name: str
    shape: tuple[int, ...]
    meaning: str
    classes: tuple[str, ...] = ()
    live: int | None = None
    index: int = 0


class ModelSpec(_Strict):
    """One entry of the manifest.

    Attributes:
        name: its key.
        purpose: one line.
        group: what `livegate models pull` takes it with.
        licence: SPDX identifier.
        licence_source: where that is stated.
        notes: anything a reader should know, such as unknown training data.
        source: where the original comes from.
        converted: what is made of it, or None where the original is used as it is.
        inputs: tensors in.
        outputs: tensors out.
    """

    name: Name
    purpose: str
    group: Group
    licence: str
    licence_source: str
    notes: str = ""
    source: Source
    converted: Converted | None = None
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> ModelSpec:
        if self.converted and not (self.inputs and self.outputs):
            raise ValueError("a converted net needs inputs and outputs")
        for output in self.outputs:
            if output.classes and (output.live is None or not 0 <= output.live < len(output.classes)):
                raise ValueError("a classifier needs the index of its live class")
        return self

    @property
    def sha256(self) -> str:
        """Of the file that is used."""
        return self.converted.sha256 if self.converted else self.source.sha256

    @property
    def size(self) -> int:
        """Of the file that is used, bytes."""
        return self.converted.size if self.converted else self.source.size

    @property
    def original_suffix(self) -> str:
        """Suffix of the original, ``.tflite`` for instance."""
        if self.source.kind == "path":
            return ".onnx"
        return Path((self.source.member or (self.source.url,))[-1]).suffix

    @property
    def suffix(self) -> str:
        """Suffix of the file that is used."""
        return ".onnx" if self.converted else self.original_suffix


class Manifest(_Strict):
    """All models by name.

    Attributes:
        folder: where the manifest lies; ``bundled`` files lie beside it.
        models: entries by name, in the file's order.
    """

    folder: Path
    models: dict[str, ModelSpec]

    def __getitem__(self, name: str) -> ModelSpec:
        """The entry of that name.

        Raises:
            ModelError: there is none; the message lists the names.
        """
        if name not in self.models:
            raise ModelError(
                f"no model is called {name!r}; there are {', '.join(self.models)}",
                hint="Run `livegate models list`.",
            )
        return self.models[name]

    def select(self, names: tuple[str, ...]) -> list[ModelSpec]:
        """Entries by name or group, in the manifest's order, each once.

        Raises:
            ModelError: a name is neither a model nor a group.
        """
        wanted = {name for name in names if name not in GROUPS}
        for name in wanted:
            self[name]
        return [spec for spec in self.models.values() if spec.name in wanted or spec.group in names]


def manifest_path() -> Path:
    """The manifest: packed into an installed wheel, or ``models/`` of a checkout."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "_models" / MANIFEST_NAME
    return packed if packed.is_file() else package.parent / "models" / MANIFEST_NAME


def load_manifest(path: Path | None = None) -> Manifest:
    """Read and check a manifest.

    Args:
        path: the file; the one that came with livegate when left out.

    Raises:
        ModelError: it can't be read or an entry is not complete.
    """
    path = path or manifest_path()
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        models = {name: ModelSpec(name=name, **entry) for name, entry in data["models"].items()}
        return Manifest(folder=path.parent, models=models)
    except (
        OSError,
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise ModelError(f"the model manifest {path.name} can't be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"the model manifest is wrong at {error.title} {where}: {first['msg']}") from error
