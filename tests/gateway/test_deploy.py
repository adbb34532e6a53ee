"""The deployment files: what they promise is in them, and they name settings and paths that exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.gateway.opening import KEY_FILE_VARIABLE
from pipeline.settings import SECRETS_VARIABLE, ServeSettings, Settings, default_database

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy"
COMPOSE = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
UNIT = (DEPLOY / "livegate.service").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def service(name: str) -> str:
    """One service of the compose file: the lines below its name that are indented further."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert found, name
    return found[1]


@pytest.mark.parametrize("text", [COMPOSE, UNIT, DOCKERFILE], ids=["compose", "unit", "Dockerfile"])
def test_every_variable_that_is_set_exists(text: str) -> None:
    names = set(re.findall(r"\bLIVEGATE_[A-Z0-9_]+", text))
    assert names
    for name in names - {SECRETS_VARIABLE, KEY_FILE_VARIABLE}:
        group, _, field = name.removeprefix("LIVEGATE_").lower().partition("__")
        model: Any = ServeSettings if field else Settings
        assert (field or group) in model.model_fields, name


def test_the_unit_gives_settings_that_are_accepted(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in re.findall(r"^Environment=(LIVEGATE_\w+)=(.*)$", UNIT, re.MULTILINE):
        monkeypatch.setenv(name, value.replace("%d", str(tmp_path)))
    (tmp_path / "livegate_database").write_text("postgresql://livegate@db/livegate\n")
    settings = Settings()
    assert settings.database == "postgresql://livegate@db/livegate"
    assert (settings.serve.workers, settings.serve.log_form) == (2, "json")


def test_the_unit_s_own_database_lies_where_the_unit_may_write(monkeypatch: Any) -> None:
    for name, value in re.findall(r"^Environment=(XDG_\w+)=(.*)$", UNIT, re.MULTILINE):
        monkeypatch.setenv(name, value)
    state = re.findall(r"^StateDirectory=(.*)$", UNIT, re.MULTILINE)
    assert default_database() == f"sqlite:////var/lib/{state[0]}/authority.db"


def test_services_wait_for_more_than_a_stop_takes() -> None:
    drain, stop = (float(re.findall(rf"{name}: \"(\d+)\"", COMPOSE)[0]) for name in ("DRAIN_S", "STOP_S"))
    assert float(re.findall(r"stop_grace_period: (\d+)s", COMPOSE)[0]) > drain + stop + 10
    drain, stop = (float(re.findall(rf"{name}=(\d+)", UNIT)[0]) for name in ("DRAIN_S", "STOP_S"))
    assert float(re.findall(r"TimeoutStopSec=(\d+)", UNIT)[0]) > drain + stop + 10


def test_no_secret_is_written_down_and_every_one_is_a_file() -> None:
    assert not re.search(r"(?i)(password|secret|key)\w*: *[\"']?[A-Za-z0-9+]{16,}", COMPOSE)
    declared = set(re.findall(r"^  (\w+): \{file: \./secrets/\w+\}$", COMPOSE, re.MULTILINE))
    wanted = {
        name.strip() for line in re.findall(r"secrets: \[([^]]*)\]", COMPOSE) for name in line.split(",")
    }
    assert wanted == declared
    made = set(re.findall(r"secrets/(\w+)", COMPOSE[: COMPOSE.index("services:")]))
    assert declared <= made


@pytest.mark.parametrize("name", ["gateway", "postgres", "redis"])
def test_services_are_healthy_only_where_they_answer(name: str) -> None:
    assert "healthcheck:" in service(name)
    assert "no-new-privileges:true" in service(name)
    assert "ports:" not in service(name)


def test_the_gateway_runs_without_rights() -> None:
    text = service("gateway")
    for line in ("read_only: true", 'user: "10001:10001"', "cap_drop: [ALL]"):
        assert line in text
    assert re.search(r"^USER 10001", DOCKERFILE, re.MULTILINE)
    final = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert "pip install" not in final
    assert "--require-hashes" in DOCKERFILE


def test_images_are_named_plainly() -> None:
    images = re.findall(r"^(?:FROM|    image:) +(\S+)", COMPOSE + "\n" + DOCKERFILE, re.MULTILINE)
    assert images
    for image in images:
        assert re.fullmatch(r"[a-z]+:[\w.-]+", image), image


@pytest.mark.parametrize(
    "line",
    [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "DynamicUser=yes",
        "CapabilityBoundingSet=",
        "RestrictNamespaces=yes",
        "SystemCallFilter=@system-service",
        "LimitCORE=0",
    ],
)
def test_the_unit_is_hardened(line: str) -> None:
    assert line in UNIT.splitlines()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "livegate.service"
    unit.write_text(UNIT.replace("/opt/livegate/bin/livegate", "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, env=os.environ, timeout=60
    )
    told = [line for line in done.stderr.splitlines() if "livegate" in line]
    assert (done.returncode, told) == (0, [])


def test_proxies_keep_no_request_lines_and_believe_no_client() -> None:
    nginx = (DEPLOY / "nginx" / "livegate.conf").read_text(encoding="utf-8")
    assert "access_log off;" in nginx
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in nginx
    assert "proxy_next_upstream off;" in nginx
    assert nginx.count("{") == nginx.count("}")
    caddy = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    assert "header_up X-Forwarded-For {remote_host}" in caddy
    assert "log" not in re.sub(r"(?m)^#.*$", "", caddy)
    assert "/metrics" not in nginx + caddy


def test_the_compose_file_is_yaml() -> None:
    assert set(yaml.safe_load(COMPOSE)["services"]) == {"gateway", "postgres", "redis", "proxy"}
