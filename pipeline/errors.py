"""Every error that livegate raises, in one tree.

```
LivegateError                      code              client code   what to do
├── UsageError                     bad_usage         -  (exit 2)   mend the call, see --help
│   ├── SettingsError              bad_settings      -  (exit 2)   mend the setting it names
│   └── ConsentError               no_consent        -  (exit 2)   pass the person's consent reference
├── ModelError                     model             1001
│   ├── ModelMissingError          model_missing     1001          livegate models pull
│   ├── ModelHashError             model_hash        1001          livegate models pull --force NAME
│   ├── ModelFetchError            model_fetch       1001          check the network, pull again
│   ├── ModelConvertError          model_convert     1001          report it with the model's name
│   └── OfflineError               offline           1001          pull elsewhere and copy the cache
├── SourceError                    source            1001
│   ├── SourceOpenError            source_open       1001          livegate doctor lists cameras
│   ├── SourceLostError            source_lost       1003          plug the camera in again
│   │   └── SourceFrozenError      source_frozen     1003          restart the camera
│   └── FrameError                 bad_frame         1001          the reason names the limit
├── PassError                      pass_invalid      1001          only the decision mints a pass
├── MatchError                     match             1001
│   ├── NetworkError               network           2002          check endpoint, proxy and TLS; try again
│   │   └── OutcomeUnknownError    outcome_unknown   2002          ask the service before a second try
│   ├── AnswerError                bad_answer        1001          the endpoint is not a face_verify service
│   ├── ServiceError               service           1001          see the service code it carries
│   └── GatewayError               gateway           1001          see the gateway code it carries
└── AuthorityError                 authority         1001
    ├── EnrollError                enroll            1001          mend the picture or the row it names
    └── StoreError                 store             1001          check the database URL and its rights
```

``code`` is stable and safe to branch on. ``hint`` is one sentence: the way out. No error of this tree ever
carries a name, an ID number, a picture, a key or a string to sign.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ClientCode(IntEnum):
    """Outcome of one check, in the codes of the service's client SDKs.

    Source: the service's reference, tables of the iOS and Android clients.
    """

    PASSED = 1000
    SYSTEM_ERROR = 1001
    INTERRUPTED = 1003
    NETWORK_ERROR = 2002
    REJECTED = 2006

    @property
    def exit_status(self) -> int:
        """Exit status of ``livegate run``: 0, 6, 4, 5, 3 in the order of the members."""
        return {1000: 0, 1001: 6, 1003: 4, 2002: 5, 2006: 3}[int(self)]


class LivegateError(Exception):
    """Root of the tree.

    Args:
        message: what happened, one sentence, free of personal data.
        hint: what to do about it; the class's own hint if left out.
    """

    code: ClassVar[str] = "livegate"
    client_code: ClassVar[ClientCode] = ClientCode.SYSTEM_ERROR
    default_hint: ClassVar[str] = "Run `livegate doctor`."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint


class UsageError(LivegateError):
    """The call can't be carried out as written; nothing was started."""

    code = "bad_usage"
    default_hint = "See `livegate --help`."


class SettingsError(UsageError):
    """A setting is missing, out of range, or contradicts another one."""

    code = "bad_settings"
    default_hint = "Mend the setting in the flag, the LIVEGATE_* variable or livegate.toml."


class ConsentError(UsageError):
    """Verification would upload a face, and no consent reference was given."""

    code = "no_consent"
    default_hint = "Pass --consent REF (or consent=...), the reference under which the person agreed."


class ModelError(LivegateError):
    """A model file can't be used."""

    code = "model"
    default_hint = "Run `livegate models verify`."


class ModelMissingError(ModelError):
    """A model file is not in the cache."""

    code = "model_missing"
    default_hint = "Run `livegate models pull`."


class ModelHashError(ModelError):
    """A file's SHA-256 is not the manifest's; the file was not used."""

    code = "model_hash"
    default_hint = "Run `livegate models pull --force NAME`."


class ModelFetchError(ModelError):
    """A download failed or was cut off; what was in the cache before is untouched."""

    code = "model_fetch"
    default_hint = "Check the network and run `livegate models pull` again."


class ModelConvertError(ModelError):
    """A TFLite file holds something that the converter does not know."""

    code = "model_convert"
    default_hint = "Report it with the model's name and SHA-256."


class OfflineError(ModelError):
    """The network was needed and the offline switch forbids it."""

    code = "offline"
    default_hint = (
        "Pull on a machine with a network and copy the cache folder, or drop --offline or LIVEGATE_OFFLINE."
    )


class SourceError(LivegateError):
    """Frames can't be had."""

    code = "source"
    default_hint = "Run `livegate doctor` to list cameras."


class SourceOpenError(SourceError):
    """The source does not exist, is busy, or is not a picture, a video, a folder or a stream."""

    code = "source_open"


class SourceLostError(SourceError):
    """A live source stopped giving new frames and did not come back in time."""

    code = "source_lost"
    client_code = ClientCode.INTERRUPTED
    default_hint = "Check the camera's cable and that no other program holds it."


class SourceFrozenError(SourceLostError):
    """A live source gives the same frame again and again."""

    code = "source_frozen"
    default_hint = "Restart the camera, and open its privacy shutter if it has one."


class FrameError(SourceError):
    """A frame is empty, too large, too small or of a type that is not a picture."""

    code = "bad_frame"
    default_hint = "Use 8-bit grey, BGR or BGRA frames between the sizes that the message names."


class PassError(LivegateError):
    """What was to be uploaded is not a pass of the decision, or its pixels changed since."""

    code = "pass_invalid"
    default_hint = "Only Gate's decision mints a LivePass; nothing else can be uploaded."


class MatchError(LivegateError):
    """The face_verify service gave no usable verdict."""

    code = "match"
    default_hint = "Check the endpoint and the keys with `livegate doctor`."


class NetworkError(MatchError):
    """The service could not be reached, or answered 5xx until the retries ended."""

    code = "network"
    client_code = ClientCode.NETWORK_ERROR
    default_hint = "Check the endpoint, the proxy and the certificates, then try again."


class OutcomeUnknownError(NetworkError):
    """The request was sent and no answer came: the service may have acted on it. It is not sent twice."""

    code = "outcome_unknown"
    default_hint = "Ask the service for the outcome before a second try."


class AnswerError(MatchError):
    """The answer is not one of the protocol's forms."""

    code = "bad_answer"
    default_hint = "Check that the endpoint is a face_verify service."


class ServiceError(MatchError):
    """The service answered with a code other than 200.

    Attributes:
        service_code: integer ``Code`` of the answer, see `pipeline.protocol.codes`.
        sub_code: detailed code of the reference (``Z1146``) where the answer tells one, or None.
        request_id: the service's ``RequestId``, or None.
    """

    code = "service"

    def __init__(
        self,
        message: str,
        *,
        service_code: int,
        sub_code: str | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.service_code = service_code
        self.sub_code = sub_code
        self.request_id = request_id


class GatewayError(MatchError):
    """The gateway in front of the service refused the request.

    Attributes:
        gateway_code: string ``Code`` of the answer, ``SignatureDoesNotMatch`` for instance.
        http_status: 4xx or 5xx.
        request_id: the service's ``RequestId``, or None.
    """

    code = "gateway"
    default_hint = "Check the access key, its secret and the machine's clock."

    def __init__(
        self,
        message: str,
        *,
        gateway_code: str,
        http_status: int,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.gateway_code = gateway_code
        self.http_status = http_status
        self.request_id = request_id


class AuthorityError(LivegateError):
    """The embedded authority can't do what was asked."""

    code = "authority"


class EnrollError(AuthorityError):
    """A reference picture or its row can't be enrolled; the others are."""

    code = "enroll"
    default_hint = "Mend the file or row that the message names, and enrol again."


class StoreError(AuthorityError):
    """The database can't be opened, read or written."""

    code = "store"
    default_hint = "Check the database URL and that its folder is writable."
