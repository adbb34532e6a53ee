"""Settings: what a Gate does, from arguments over ``LIVEGATE_*`` variables over ``livegate.toml``."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pipeline.errors import SettingsError

Mode = Literal["liveness", "verify"]
"""``liveness``: pure client-side (纯客户端活体). ``verify``: full verification (实人认证)."""

Provider = Literal["cpu", "openvino", "directml", "coreml", "cuda", "xnnpack"]
"""Execution providers of onnxruntime by the short names of `pipeline.nets.PROVIDERS`."""

CONFIG_VARIABLE = "LIVEGATE_CONFIG"
DEFAULT_CONFIG = "livegate.toml"
SECRETS_VARIABLE = "LIVEGATE_SECRETS_DIR"
"""Folder with one secret a file, as service managers give them: ``livegate_database`` holds the URL."""
_REDIS_URL = re.compile(r"(redis|rediss|unix)://\S+", re.ASCII)


def default_database() -> str:
    """SQLite URL of the embedded authority in the user's data folder."""
    return f"sqlite:///{platformdirs.user_data_path('livegate', appauthor=False) / 'authority.db'}"


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


class LockSettings(_Group):
    """After how many failures, in how long a time, somebody is locked for how long."""

    most: int = Field(10, ge=0, lt=2**31, description="failures that are let happen; 0 never locks")
    within_s: int = Field(86400, ge=1, lt=2**31)
    lock_s: int = Field(86400, ge=1, lt=2**31)


class DeviceLockSettings(LockSettings):
    """The same for a device."""

    most: int = Field(30, ge=0, lt=2**31)


class KeyLockSettings(LockSettings):
    """The same for an access key, which stands for many people."""

    most: int = Field(1000, ge=0, lt=2**31)
    within_s: int = Field(3600, ge=1, lt=2**31)
    lock_s: int = Field(600, ge=1, lt=2**31)


class RiskSettings(_Group):
    """Locks after failures: of a person, a device, an access key."""

    person: LockSettings = LockSettings()
    device: DeviceLockSettings = DeviceLockSettings()
    key: KeyLockSettings = KeyLockSettings()


class DeviceSettings(_Group):
    """Which devices may begin a verification, by ``metainfo``. What is left out is not asked."""

    types: tuple[str, ...] | None = Field(None, description="supported deviceType, ios for instance")
    suspended_models: tuple[str, ...] = Field((), description="deviceModel that may not begin one")
    least_os: dict[str, str] = Field({}, description="lowest osVersion by deviceType")
    least_sdk: str | None = Field(None, description="lowest zimVer")


class ServeSettings(_Group):
    """``livegate serve``: ``[serve]`` in the file, ``LIVEGATE_SERVE__DRAIN_S=5`` in the environment.

    Lists and tables in the environment are JSON.
    """

    workers: int = Field(1, ge=1, le=64, description="processes")
    threads: int | None = Field(None, ge=1, le=256, description="threads of each; from the cores if left out")
    waiting: int = Field(64, ge=1, le=4096, description="requests that run or wait in each process")
    admin: bool = Field(True, description="open the admin port: health, readiness, metrics, description")
    admin_host: str = Field("127.0.0.1", description="its address: who reaches it reads the metrics")
    admin_port: int = Field(9464, ge=0, le=65535, description="0 for a free one")
    metrics_page: bool = Field(False, description="/metrics on the main port too, for everybody")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses and networks whose X-Forwarded-For counts, beside the loopback's"
    )
    drain_s: float = Field(
        0.0, ge=0, le=600, description="after a stop is asked for: not ready, and still answering"
    )
    stop_s: int = Field(30, ge=1, le=600, description="then: for what was accepted to be answered")
    body_s: float = Field(30.0, ge=1, le=600, description="longest time for a body to come in")
    body_least_rate: int = Field(4096, ge=1, description="bytes a second that a body must have after 5 s")
    log_form: Literal["json", "console"] = "console"
    suspended: bool = Field(False, description="nobody can be verified (Z1112); query is answered")
    risk: RiskSettings = RiskSettings()
    devices: DeviceSettings = DeviceSettings()


class KioskSettings(_Group):
    """``livegate kiosk``: ``[kiosk]`` in the file, ``LIVEGATE_KIOSK__OPERATOR_TOKEN`` in the environment."""

    operator_token: SecretStr | None = Field(
        None, description="password of the operator's pages, 16 characters or more"
    )
    operator_token_file: Path | None = Field(None, description="file that holds it, in its first line")
    names: tuple[str, ...] = Field((), description="host names under which browsers may ask for the kiosk")
    remote_screen: bool = Field(
        False, description="the person's page may be on another machine; whoever reaches it sees the preview"
    )
    result_s: float = Field(6.0, ge=1, le=60, description="how long a result stands")
    consent_zh: str | None = Field(None, min_length=1, max_length=400, description="what a person agrees to")
    consent_en: str | None = Field(None, min_length=1, max_length=400, description="the same in English")
    consent_form: str = Field(
        "kiosk",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="name of that text: first part of each consent reference",
    )


class Settings(BaseSettings):
    """Everything that can be set, with its unit and range.

    Sources, the first one wins: constructor arguments (the command line's flags), environment variables
    ``LIVEGATE_<FIELD>``, files ``livegate_<field>`` in the folder that ``LIVEGATE_SECRETS_DIR`` names, the
    TOML file named by ``LIVEGATE_CONFIG`` or ``livegate.toml`` in the working folder, the defaults below.
    The lists `nets` and `trusted_sources` are names with commas between them where they are text, as in a
    variable: ``usb:046d:0825:A1, rtsp://cam/1``; or a JSON list, for names that hold a comma:
    ``["usb:046d:0825:A,1"]``. In the TOML file they may be its own lists too.
    Unknown names in the file and values out of range refuse to start.

    Raises:
        SettingsError: a value is out of range, or a name is unknown; the message never shows the value.
    """

    model_config = SettingsConfigDict(
        env_prefix="LIVEGATE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    mode: Mode = "liveness"

    # what is judged, and how strictly
    nets: Annotated[tuple[str, ...], NoDecode] = Field(
        ("fr_liveness", "livegate_pad"),
        min_length=1,
        description="liveness nets, fused by the weighted mean of their log-odds; as text with commas "
        "between, or a JSON list",
    )
    mesh: Literal["fast", "accurate"] = Field("fast", description="468 points at 192, or 478 at 256")
    detect_every: int = Field(5, ge=1, le=30, description="frames between two runs of the face detector")
    target_apcer: float = Field(0.01, gt=0, le=0.05, description="wanted share of attacks accepted")
    target_bpcer: float = Field(0.10, gt=0, le=0.30, description="wanted share of live people refused")
    calibration: Path | None = Field(
        None,
        description="a site's own calibration, a file of `livegate calibrate`; none means the shipped one",
    )
    flash: bool = Field(
        False, description="a face must answer to colours of a screen: nothing passes without a display"
    )
    deadline_s: float = Field(
        4.0, ge=1, le=60, description="video time after which nothing clear is undecided"
    )

    # where frames come from
    allow_test_source: bool = Field(
        False, description="test switch: frames of a file, folder or virtual camera may lead to an upload"
    )
    trusted_sources: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,
        description="further cameras that may lead to an upload: identities, as `livegate doctor` prints, or "
        "whole addresses of streams; user and password don't count, every part of the query does; as text "
        "with commas between, or a JSON list, where one may hold a comma",
    )
    pinned_camera: str | None = Field(
        None,
        min_length=3,
        repr=False,
        description="the one camera that may be used, named as in trusted_sources; any other source is "
        "refused, in every mode",
    )
    camera_width: int | None = Field(None, ge=160, le=7680)
    camera_height: int | None = Field(None, ge=120, le=4320)
    camera_fps: float | None = Field(None, gt=0, le=240)
    read_deadline_s: float = Field(
        3.0, gt=0, le=60, description="longest wait for a live source's next frame"
    )
    reconnect_deadline_s: float = Field(20.0, gt=0, le=600, description="longest time spent on reconnecting")

    # the face_verify service
    endpoint: str | None = Field(None, description="service URL; none means the embedded gateway, in process")
    access_key_id: SecretStr | None = None
    access_key_secret: SecretStr | None = None
    access_key_file: Path | None = Field(None, description="file with the key: JSON with id and secret")
    match_threshold: float = Field(
        95.0, ge=80, le=100, description="lowest score that passes; 95 stands for a false-match rate of 1e-5"
    )
    match_timeout_s: float = Field(8.5, gt=0, le=60)
    proxy: str | None = None
    ca_file: Path | None = Field(None, description="certificates to trust instead of the usual ones")
    allow_plain_http: bool = Field(
        False, description="http:// endpoints other than loopback, where something else protects the line"
    )
    database: str = Field(default_factory=default_database, description="embedded authority, SQLAlchemy URL")
    redis_url: SecretStr | None = Field(
        None,
        description="Redis for the embedded authority's nonces and counters; none keeps them in the database",
    )
    duplicates: Literal["off", "warn", "refuse"] = Field(
        "warn", description="what a face that is likely enrolled under another number leads to at enrolment"
    )
    cert_check: Literal["off", "warn", "strict"] = Field(
        "warn", description="what a certificate number with a wrong check digit (GB 11643) leads to"
    )
    detailed_codes: bool = Field(False, description="the embedded gateway also tells the detailed codes")
    quota_per_second: int | None = Field(
        None, ge=0, lt=2**31, description="requests of an access key that the gateway answers in a second"
    )
    quota_per_day: int | None = Field(None, ge=0, lt=2**31, description="and in a day, UTC; more get 402")

    # evidence kept by the embedded gateway, sealed to a public key
    evidence: bool = Field(False, description="keep the live pictures of consented matches, sealed")
    evidence_public_key: Path | None = Field(None, description="PEM file of `livegate evidence keygen`")
    evidence_retention_days: int = Field(180, ge=1, le=3650)
    evidence_delete_after_query: bool = Field(False, description="erase a picture once its result was told")

    # what the embedded gateway asks of devices, and what it gives back
    require_attestation: bool = Field(
        False, description="answer only matches that an installation attests, see docs/adr/0015"
    )
    return_image: bool = Field(
        False,
        description="keep the picture of a passed session for `query` with returnImage; not with evidence",
    )
    return_image_minutes: int = Field(15, ge=1, le=30, description="how long, if nobody asks for it before")

    # livegate serve
    serve: ServeSettings = ServeSettings()

    # livegate kiosk
    kiosk: KioskSettings = KioskSettings()

    # model files, and what runs them
    provider: Provider = Field(
        "cpu", description="onnxruntime's execution provider; the CPU where it is absent, fails or differs"
    )
    models_dir: Path | None = Field(None, description="model cache; the user's cache folder if left out")
    offline: bool = Field(False, description="never touch the network for model files")

    @field_validator("nets", "trusted_sources", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Lists as text: names with commas between them, or JSON where it begins with a bracket."""
        if not isinstance(value, str):
            return value
        if not value.lstrip().startswith("["):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        try:
            return tuple(json.loads(value))
        except (ValueError, RecursionError):
            raise ValueError("what begins with [ is a JSON list") from None

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _REDIS_URL.fullmatch(value.get_secret_value()):
            raise ValueError("a URL that begins with redis://, rediss:// or unix:// is wanted")
        return value

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None
        except tomllib.TOMLDecodeError as error:
            name = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG).name
            place = re.search(r" \(at [a-z0-9, ]+\)$", str(error))  # the rest may hold what was written there
            raise SettingsError(f"{name} is not TOML{place[0] if place else ''}") from None
        except (ValueError, OSError) as error:
            raise SettingsError(f"settings can't be read: {type(error).__name__}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the folder of secrets, then the TOML file."""
        named = os.environ.get(CONFIG_VARIABLE)
        if named and not Path(named).is_file():
            raise SettingsError(f"{CONFIG_VARIABLE} names a file that does not exist")
        toml = TomlConfigSettingsSource(settings_cls, toml_file=named or DEFAULT_CONFIG)
        folder = os.environ.get(SECRETS_VARIABLE)
        if not folder:
            return (init_settings, env_settings, toml)
        if not Path(folder).is_dir():
            raise SettingsError(f"{SECRETS_VARIABLE} names a folder that does not exist")
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=folder)
        return (init_settings, env_settings, secrets, toml)


def _explain(error: ValidationError) -> str:
    """One line per wrong field, without the values."""
    lines = [
        f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors(include_input=False)
    ]
    return "; ".join(lines)
