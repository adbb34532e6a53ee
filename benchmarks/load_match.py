"""The match of the load run: one person, one key, one picture, and a signature for each request."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Final

import numpy as np

from benchmarks.sequence import portrait as enrolled_portrait
from benchmarks.upload import passed, portrait
from pipeline.errors import LivegateError
from pipeline.gateway import Embedder, Gateway, Identity, open_gateway
from pipeline.match.encode import encode_upload
from pipeline.protocol.signing import AccessKey, form_encode, sign, string_to_sign
from pipeline.service import gateway_options
from pipeline.settings import Settings

NAME: Final = "样例"
NUMBER: Final = "11010519491231002X"
KEY: Final = AccessKey("LGbenchmark", "benchmark-secret")
FORM: Final = "application/x-www-form-urlencoded"


def service_parameters() -> str:
    """``ServiceParameters`` of a match as the client of this project sends it."""
    picture = base64.b64encode(encode_upload(passed(portrait())).jpeg).decode("ascii")
    fields = {"method": "match", "name": NAME, "certNumber": NUMBER, "imgbase64": picture}
    return json.dumps(fields, ensure_ascii=False)


def signed(service: str) -> bytes:
    """A form body with a nonce and a time of its own."""
    params = {
        "Format": "JSON",
        "Version": "2017-03-31",
        "AccessKeyId": KEY.key_id,
        "SignatureMethod": "HMAC-SHA1",
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Action": "ExecuteRequest",
        "Service": "face_verify",
        "ServiceParameters": service,
    }
    params["Signature"] = sign(KEY.secret, string_to_sign("POST", params))
    return form_encode(params)


def enrolled(database: str, embedder: Embedder) -> Gateway:
    """A gateway with the person of the run in it, as this embedder sees them.

    Raises:
        LivegateError: the database can't be used, or the portrait has no face.
    """
    gateway = open_gateway(database, embedder=embedder, options=gateway_options(Settings(database=database)))
    gateway.access_keys.put(KEY, now=time.time())
    reading = embedder.read(np.ascontiguousarray(enrolled_portrait()))
    if reading is None:
        raise LivegateError("the portrait has no face")
    identity = Identity.of(NAME, NUMBER)
    gateway.authority.enroll(identity, reading.embedding, embedder.model, now=time.time())
    return gateway
