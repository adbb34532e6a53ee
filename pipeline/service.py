"""From settings to whoever answers ``method=match``: an endpoint, or the embedded gateway in process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipeline.errors import SettingsError
from pipeline.settings import LockSettings, Settings

if TYPE_CHECKING:
    from pipeline.gateway import Gateway, GatewayOptions, ServeOptions
    from pipeline.match.client import MatchClient


def connect(settings: Settings) -> MatchClient:
    """Client of the endpoint in the settings; without one, of an embedded gateway in this process.

    The embedded gateway opens no socket: its transport calls the gateway's core directly, over the database
    of the settings, and the signature, nonce and time are checked as they are on the wire.

    Raises:
        SettingsError: an endpoint without a key, or a key file that can't be read.
        ModelError: the embedded gateway's embedding model is missing.
        StoreError: the database can't be opened.
    """
    from pipeline.match.client import MatchClient
    from pipeline.match.rules import Timeouts

    if settings.endpoint is not None:
        key_id, secret = access_key(settings)
        return MatchClient(
            settings.endpoint,
            key_id,
            secret,
            # room for one more try after a connect error or a 5xx answer
            timeout=Timeouts(
                read=settings.match_timeout_s, total=max(20.0, 2 * settings.match_timeout_s + 3)
            ),
            allow_plain_http=settings.allow_plain_http,
            proxy=settings.proxy,
            ca_file=settings.ca_file,
        )
    from pipeline.gateway import embedded

    gateway = embedded(settings, options=gateway_options(settings))
    return MatchClient(
        gateway.url,
        gateway.key_id,
        gateway.key_secret,
        transport=gateway.transport,
        allow_plain_http=True,  # nothing leaves the process
    )


def gateway_options(settings: Settings) -> GatewayOptions:
    """How an embedded gateway answers, out of the settings.

    Raises:
        SettingsError: evidence is to be kept and its public key can't be used, or pictures are to be given
            back beside it.
    """
    from pipeline.evidence import sealed_evidence
    from pipeline.gateway import (
        AttestationRules,
        DeviceRules,
        FailureWindow,
        GatewayOptions,
        Quota,
        RiskPolicy,
    )
    from pipeline.protocol.cert_number import CertCheck

    evidence = None
    if settings.evidence and settings.return_image:
        raise SettingsError(
            "evidence and return_image contradict each other: sealed evidence is not readable here",
            hint="Switch one of them off; sealed pictures are had by `livegate evidence export`.",
        )
    if settings.evidence:
        evidence = sealed_evidence(
            settings.evidence_public_key,
            retention_days=settings.evidence_retention_days,
            delete_after_query=settings.evidence_delete_after_query,
        )

    def window(lock: LockSettings) -> FailureWindow | None:
        return FailureWindow(lock.most, lock.within_s, lock.lock_s) if lock.most else None

    risk, devices = settings.serve.risk, settings.serve.devices
    return GatewayOptions(
        detailed_codes=settings.detailed_codes,
        cert_check=CertCheck(settings.cert_check),
        evidence=evidence,
        quota=Quota(settings.quota_per_second, settings.quota_per_day),
        pass_score=settings.match_threshold,
        attestation=AttestationRules(
            required=settings.require_attestation, test_sources=settings.allow_test_source
        ),
        return_image_s=60 * settings.return_image_minutes if settings.return_image else 0,
        redis_url=redis_url(settings),
        risk=RiskPolicy(window(risk.person), window(risk.device), window(risk.key)),
        devices=DeviceRules(
            types=None if devices.types is None else frozenset(kind.lower() for kind in devices.types),
            refused_models=frozenset(devices.suspended_models),
            least_os={kind.lower(): version for kind, version in devices.least_os.items()},
            least_sdk=devices.least_sdk,
        ),
        suspended=settings.serve.suspended,
    )


def serve_options(settings: Settings) -> ServeOptions:
    """How ``livegate serve`` serves, out of the settings."""
    from pipeline.gateway import ServeOptions
    from pipeline.gateway.intake import IntakeLimits

    serve = settings.serve
    return ServeOptions(
        threads=serve.threads,
        waiting=serve.waiting,
        admin_host=serve.admin_host,
        admin_port=serve.admin_port if serve.admin else None,
        metrics_page=serve.metrics_page,
        trusted_proxies=serve.trusted_proxies,
        drain_s=serve.drain_s,
        stop_s=serve.stop_s,
        intake=IntakeLimits(seconds=serve.body_s, least_rate=serve.body_least_rate),
    )


def serving_gateway(settings: Settings, *, verbose: bool = False) -> Gateway:
    """Set up this process's logs and open its gateway: what each worker of ``livegate serve`` begins with.

    Raises:
        StoreError: the database, its key or Redis can't be used.
    """
    from pipeline.gateway import open_gateway
    from pipeline.gateway.operation.logs import set_up_logs
    from pipeline.nets import open_store

    set_up_logs(settings.serve.log_form, verbose=verbose)
    models = open_store(settings.models_dir, offline=settings.offline)
    return open_gateway(settings.database, models=models, options=gateway_options(settings))


def redis_url(settings: Settings) -> str | None:
    """The Redis of the settings in clear, for whoever connects to it."""
    return None if settings.redis_url is None else settings.redis_url.get_secret_value()


def access_key(settings: Settings) -> tuple[str, str]:
    """Id and secret from the environment or a file, never from a flag.

    Raises:
        SettingsError: there is none, or the file is not JSON with ``id`` and ``secret``.
    """
    if settings.access_key_id is not None and settings.access_key_secret is not None:
        return settings.access_key_id.get_secret_value(), settings.access_key_secret.get_secret_value()
    if settings.access_key_file is not None:
        try:
            key = json.loads(settings.access_key_file.read_text(encoding="utf-8"))
            return str(key["id"]), str(key["secret"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(f"the access key file can't be used: {type(error).__name__}") from None
    raise SettingsError(
        "the endpoint needs an access key",
        hint="Set LIVEGATE_ACCESS_KEY_ID and LIVEGATE_ACCESS_KEY_SECRET, or LIVEGATE_ACCESS_KEY_FILE.",
    )
