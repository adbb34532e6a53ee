"""The manifest that ships, and what a wrong one is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.nets import load_manifest, manifest_path

DATA = b"data"


def test_every_entry_names_source_licence_and_tensors() -> None:
    manifest = load_manifest()
    assert {"face_detector", "face_mesh", "face_mesh_478", "face_blendshapes"} <= set(manifest.models)
    assert {"fr_liveness", "fr_feature", "minifasnet_v2", "minifasnet_v1se", "sample_astronaut"} <= set(
        manifest.models
    )
    for spec in manifest.models.values():
        assert spec.purpose
        assert spec.licence
        assert spec.licence_source
        if spec.group != "sample":
            assert spec.inputs, spec.name
            assert spec.outputs, spec.name


def test_pictures_that_go_into_a_net_have_size_colour_range_and_crop() -> None:
    for spec in load_manifest().models.values():
        for entry in spec.inputs:
            if entry.layout == "CHW":
                assert len(entry.shape) == 3, spec.name
                assert entry.colour, spec.name
                assert entry.range, spec.name
                assert entry.formula, spec.name
                assert entry.crop, spec.name


def test_liveness_nets_say_which_class_is_live() -> None:
    models = load_manifest().models
    assert models["fr_liveness"].outputs[0].live == 0
    assert models["minifasnet_v2"].outputs[0].live == 1
    assert models["minifasnet_v1se"].outputs[0].live == 1
    for name in ("fr_liveness", "minifasnet_v2", "minifasnet_v1se"):
        output = models[name].outputs[0]
        assert output.live is not None
        assert [c for i, c in enumerate(output.classes) if c == "live"] == [output.classes[output.live]]


def test_gate_needs_no_embedding() -> None:
    core = [spec.name for spec in load_manifest().select(("core",))]
    assert "fr_feature" not in core
    assert {"face_detector", "face_mesh"} <= set(core)


def test_manifest_lies_in_the_package_or_in_the_checkout() -> None:
    path = manifest_path()
    assert path.is_file()
    assert path.parent.name in ("_models", "models")


def test_names_and_groups_select_each_entry_once_in_order() -> None:
    manifest = load_manifest()
    names = [spec.name for spec in manifest.select(("fr_feature", "core", "face_mesh"))]
    assert len(names) == len(set(names))
    assert [name for name in manifest.models if name in names] == names


def test_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'nonsense'.*face_mesh"):
        load_manifest().select(("nonsense",))


SHA = "0" * 64
WRONG = {
    "not toml": ("models = [", "can't be read"),
    "no models": ("schema = 1", "can't be read"),
    "short hash": (f'source = {{ kind = "path", sha256 = "{SHA[1:]}", size = 1 }}', "sha256"),
    "no size": (f'source = {{ kind = "path", sha256 = "{SHA}", size = 0 }}', "size"),
    "wheel without package": (f'source = {{ kind = "wheel", sha256 = "{SHA}", size = 1 }}', "wheel needs"),
    "plain http": (
        f'source = {{ kind = "url", url = "http://example.org/x", sha256 = "{SHA}", size = 1 }}',
        "https",
    ),
    "member that climbs": (
        f'source = {{ kind = "bundled", member = ["../x"], sha256 = "{SHA}", size = 1 }}',
        "below",
    ),
    "misspelt field": (f'colour = 1\nsource = {{ kind = "path", sha256 = "{SHA}", size = 1 }}', "colour"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_manifest_is_refused_with_its_place(case: str, tmp_path: Path) -> None:
    text, said = WRONG[case]
    path = tmp_path / "manifest.toml"
    head = '[models.one]\npurpose = "p"\ngroup = "core"\nlicence = "MIT"\nlicence_source = "l"\n'
    path.write_text(text if case in ("not toml", "no models") else head + text)
    with pytest.raises(ModelError, match=re.escape(said)):
        load_manifest(path)


def test_missing_manifest_is_an_error_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="manifest"):
        load_manifest(tmp_path / "none.toml")


def test_classifier_without_a_live_index_is_refused(
    tmp_path: Path, manifest_entry: Callable[..., str]
) -> None:
    path = tmp_path / "manifest.toml"
    outputs = 'outputs = [{ name = "o", shape = [2], meaning = "m", classes = ["a", "b"], live = 2 }]\n'
    path.write_text("[models.one]\n" + manifest_entry('kind = "path"', DATA, extra=outputs))
    with pytest.raises(ModelError, match="live class"):
        load_manifest(path)
