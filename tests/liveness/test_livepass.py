"""Only the decision mints a pass, and what was judged is what the pass holds."""

from __future__ import annotations

import ast
import copy
import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.camera.frame import Frame, pixel_sha256
from pipeline.errors import PassError
from pipeline.liveness import livepass
from pipeline.liveness.livepass import LivePass, seal


def picture(seed: int = 0, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def minted() -> LivePass:
    frame = seal(Frame(picture(), t=1.5, seq=7))
    return livepass._mint(frame, session_id="s1", score=0.97, minted_at=1000.0)


def test_a_minted_pass_holds_and_checks(minted: LivePass) -> None:
    minted.check()
    assert minted.sha256 == pixel_sha256(picture())
    assert (minted.frame.t, minted.frame.seq) == (1.5, 7)
    assert (minted.session_id, minted.score, minted.minted_at) == ("s1", 0.97, 1000.0)


@pytest.mark.parametrize("capability", [None, object(), True, "mint", 1])
def test_the_constructor_wants_the_capability(capability: object) -> None:
    with pytest.raises(PassError):
        LivePass(capability, frame=seal(Frame(picture(), t=0.0, seq=0)), session_id="s", score=1.0)


def test_an_object_made_around_the_constructor_fails_its_check(minted: LivePass) -> None:
    forged = object.__new__(LivePass)
    with pytest.raises(PassError, match="not minted"):
        forged.check()
    for name in ("frame", "sha256", "session_id", "score", "minted_at"):
        object.__setattr__(forged, name, getattr(minted, name))
    with pytest.raises(PassError, match="not minted"):
        forged.check()


@pytest.mark.parametrize(
    "forge",
    [
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda p: pickle.dumps(p, protocol=0),
        lambda p: p.__replace__(score=1.0),
        lambda p: p.__reduce__(),
        lambda p: p.__reduce_ex__(4),
        lambda p: p.__setstate__({}),
    ],
)
def test_it_can_not_be_copied_replaced_or_pickled(minted: LivePass, forge: object) -> None:
    with pytest.raises(PassError):
        forge(minted)  # type: ignore[operator]


def test_dataclasses_replace_does_not_take_it(minted: LivePass) -> None:
    with pytest.raises((TypeError, PassError)):
        dataclasses.replace(minted, score=1.0)  # type: ignore[type-var]


def test_it_can_not_be_subclassed() -> None:
    with pytest.raises(PassError):
        type("Forged", (LivePass,), {})
    with pytest.raises(PassError):

        class Forged(LivePass):  # type: ignore[misc]
            def check(self) -> None:
                return None


def test_fields_can_not_be_set_nor_deleted(minted: LivePass) -> None:
    with pytest.raises(PassError):
        minted.score = 1.0
    with pytest.raises(PassError):
        del minted.frame
    with pytest.raises((AttributeError, PassError)):
        minted.extra = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score", 1.0),
        ("session_id", "other"),
        ("minted_at", 2000.0),
        ("sha256", "0" * 64),
    ],
)
def test_a_field_forced_from_outside_fails_the_check(minted: LivePass, name: str, value: object) -> None:
    object.__setattr__(minted, name, value)
    with pytest.raises(PassError, match="changed"):
        minted.check()


def test_another_frame_with_its_own_right_digest_fails_the_check(minted: LivePass) -> None:
    other = seal(Frame(picture(9), t=0.0, seq=0))
    object.__setattr__(minted, "frame", other)
    object.__setattr__(minted, "sha256", other.sha256())
    with pytest.raises(PassError, match="changed"):
        minted.check()


def test_the_source_can_not_alter_the_picture_after_it_was_judged() -> None:
    buffer = picture()
    frame = seal(Frame(buffer.view(), t=0.0, seq=0))
    p = livepass._mint(frame, session_id="s", score=0.5, minted_at=0.0)
    buffer.setflags(write=True)
    buffer[:] = 0
    p.check()
    assert np.array_equal(p.frame.image, picture())


def test_the_sealed_pixels_can_not_be_made_writeable(minted: LivePass) -> None:
    with pytest.raises(ValueError, match="WRITEABLE"):
        minted.frame.image.setflags(write=True)
    with pytest.raises(ValueError, match="read-only"):
        minted.frame.image[0, 0, 0] = 1


def test_pixels_changed_by_force_fail_the_check(minted: LivePass) -> None:
    """What ctypes can do to immutable bytes is the one way left, and the digest sees it."""
    import ctypes

    address = minted.frame.image.__array_interface__["data"][0]
    ctypes.memset(address + 5, 255 - int(minted.frame.image.flat[5]), 1)
    with pytest.raises(PassError, match="picture was changed"):
        minted.check()


def test_a_frame_that_was_not_sealed_is_not_minted() -> None:
    for image in (picture(), picture()[:]):
        with pytest.raises(PassError, match="sealed"):
            livepass._mint(Frame(image, t=0.0, seq=0), session_id="s", score=0.5, minted_at=0.0)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.01, 1.01])
def test_a_score_outside_its_range_is_not_minted(score: float) -> None:
    with pytest.raises(PassError):
        livepass._mint(seal(Frame(picture(), t=0.0, seq=0)), session_id="s", score=score, minted_at=0.0)


def test_its_repr_shows_no_pixels(minted: LivePass) -> None:
    assert "array" not in repr(minted)
    assert len(repr(minted)) < 120


@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99))
def test_sealing_keeps_every_pixel(height: int, width: int, seed: int) -> None:
    frame = Frame(picture(seed, height, width), t=0.25, seq=3)
    sealed = seal(frame)
    assert np.array_equal(sealed.image, frame.image)
    assert sealed.image.flags.c_contiguous
    assert sealed.sha256() == frame.sha256()


def test_only_the_decision_uses_the_mint() -> None:
    root = Path(pipeline.__file__).parent
    secrets = {name for name in vars(livepass) if name.startswith("_") and not name.startswith("__")}
    assert {"_mint", "_CAPABILITY", "_REGISTER"} <= secrets
    users = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            imported = (
                isinstance(node, ast.ImportFrom)
                and (node.module or "").endswith("livepass")
                and secrets & {alias.name for alias in node.names}
            )
            reached = isinstance(node, ast.Attribute) and node.attr in {"_mint", "_REGISTER"}
            if imported or reached:
                users.add(path.relative_to(root).as_posix())
    assert users == {"liveness/decision.py"}


def test_a_sealed_frame_is_not_copied_again_and_any_other_is() -> None:
    once = seal(Frame(picture(), t=1.0, seq=2))
    assert seal(once) is once
    turned = seal(Frame(once.image[::-1], t=1.0, seq=2))
    assert turned.image.flags.c_contiguous
    np.testing.assert_array_equal(turned.image, once.image[::-1])
    writeable = bytearray(picture().tobytes())
    shown = Frame(np.frombuffer(writeable, np.uint8).reshape(24, 32, 3), t=1.0, seq=2)
    sealed = seal(shown)
    writeable[0] ^= 255
    assert sealed.image[0, 0, 0] != shown.image[0, 0, 0]
