"""`livegate serve` and its settings: what is set reaches what serves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pipeline.errors import SettingsError, UsageError
from pipeline.gateway.budget import AddressBudget
from pipeline.gateway.devices import DeviceRules
from pipeline.gateway.opening import KEY_FILE_VARIABLE, open_authority
from pipeline.gateway.risk import FailureWindow, RiskPolicy
from pipeline.service import gateway_options, serve_options
from pipeline.settings import Settings

FILE = """
[serve]
workers = 2
threads = 3
drain_s = 1.5
trusted_proxies = ["10.1.0.0/24"]
body_least_rate = 100
suspended = true
[serve.risk]
person = {most = 3, within_s = 60, lock_s = 120}
device = {most = 0}
[serve.devices]
types = ["iOS"]
suspended_models = ["X1"]
least_os = {iOS = "12.1"}
least_sdk = "1.0"
"""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LIVEGATE_")]:
        monkeypatch.delenv(name)


def test_the_file_reaches_what_serves(tmp_path: Path) -> None:
    (tmp_path / "livegate.toml").write_text(FILE)
    settings = Settings()
    serve, options = serve_options(settings), gateway_options(settings)
    assert (settings.serve.workers, serve.threads, serve.drain_s, serve.intake.least_rate) == (2, 3, 1.5, 100)
    assert serve.trusted_proxies == ("10.1.0.0/24",)
    assert options.risk == RiskPolicy(FailureWindow(3, 60, 120), None, FailureWindow(1000, 3600, 600))
    assert options.devices == DeviceRules(frozenset({"ios"}), frozenset({"X1"}), {"ios": "12.1"}, "1.0")
    assert options.suspended


def test_nothing_set_is_what_the_gateway_does_by_itself() -> None:
    settings = Settings()
    assert gateway_options(settings).risk == RiskPolicy()
    assert gateway_options(settings).devices == DeviceRules()
    options = serve_options(settings)
    assert (options.admin_host, options.metrics_page, options.trusted_proxies) == ("127.0.0.1", False, ())
    assert serve_options(Settings(serve={"admin": False})).admin_port is None


def test_the_environment_goes_before_the_file_name_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "livegate.toml").write_text(FILE)
    monkeypatch.setenv("LIVEGATE_SERVE__DRAIN_S", "9")
    monkeypatch.setenv("LIVEGATE_SERVE__RISK__KEY__MOST", "7")
    monkeypatch.setenv("LIVEGATE_SERVE__TRUSTED_PROXIES", '["10.2.0.1"]')
    serve = Settings(serve={"workers": 4}).serve
    assert (serve.workers, serve.drain_s, serve.threads) == (4, 9.0, 3)
    assert serve.trusted_proxies == ("10.2.0.1",)
    assert (serve.risk.key.most, serve.risk.key.within_s) == (7, 3600)


@pytest.mark.parametrize(
    "wrong",
    [
        {"drain_s": -1},
        {"workers": 0},
        {"log_form": "xml"},
        {"dran_s": 1},
        {"risk": {"person": {"lock_s": 0}}},
    ],
)
def test_a_wrong_value_refuses_to_start(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="serve"):
        Settings(serve=wrong)


def test_secrets_come_from_a_folder_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "livegate_database").write_text("postgresql://u:geheim@db/livegate\n")
    (folder / "livegate_access_key_secret").write_text("geheim\n")
    monkeypatch.setenv("LIVEGATE_SECRETS_DIR", str(folder))
    settings = Settings()
    assert settings.database == "postgresql://u:geheim@db/livegate"
    assert settings.access_key_secret is not None
    assert settings.access_key_secret.get_secret_value() == "geheim"
    monkeypatch.setenv("LIVEGATE_DATABASE", "sqlite:///other.db")
    assert Settings().database == "sqlite:///other.db"
    monkeypatch.setenv("LIVEGATE_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="LIVEGATE_SECRETS_DIR"):
        Settings()


def test_the_authority_s_key_may_be_a_file_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "elsewhere" / "key"))
    first = open_authority(f"sqlite:///{tmp_path / 'a.db'}")
    first.store.close()
    assert (tmp_path / "elsewhere" / "key").is_file()
    assert not (tmp_path / "a.key").exists()
    again = open_authority(f"sqlite:///{tmp_path / 'a.db'}")
    assert again.vault.fingerprint == first.vault.fingerprint
    again.store.close()


@pytest.mark.parametrize(
    ("peer", "told", "charged"),
    [
        ("10.1.0.7", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.1.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.1.1.7", "203.0.113.9", "10.1.1.7"),
        ("10.1.0.7", "1.2.3.4, 203.0.113.9, 10.1.0.8", "203.0.113.9"),
        ("203.0.113.5", "10.1.0.7", "203.0.113.5"),
        ("10.1.0.7", "", None),
    ],
)
def test_only_trusted_networks_speak_for_others(peer: str, told: str, charged: str | None) -> None:
    budget = AddressBudget(trusted_proxies=["10.1.0.0/24"])
    assert budget.address_of(peer, [("x-forwarded-for", told)] if told else []) == charged


def test_a_trusted_proxy_that_is_no_network_refuses_to_start() -> None:
    with pytest.raises(UsageError, match="trusted proxy"):
        AddressBudget(trusted_proxies=["proxy.example"])


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_the_command_serves_with_real_nets_and_tells_where(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'authority.db'}"
    command = [sys.executable, "-m", "pipeline", "serve", "--json", "--port", "0"]
    command += ["--database", database, "--log-form", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            told = json.loads(process.stdout.readline())
            assert told["event"] == "listening"
            assert not told["admin_url"].endswith(":9464")
            with httpx.Client(trust_env=False, timeout=60) as client:
                ready = client.get(told["admin_url"] + "/readyz").json()
                assert ready["ready"], ready
                request_id = client.get(told["url"] + "/?Format=JSON").json()["RequestId"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert process.stdout.read() == ""
            lines = [json.loads(line) for line in process.stderr.read().splitlines()]
        finally:
            process.kill()
    assert [line["request_id"] for line in lines] == [request_id]
