"""Every detailed code of the reference, and what makes this gateway answer it.

The reference gives a sentence for each code and no cause; where several share a sentence, which cause gets
which is ours. ``tests/gateway/test_codes.py`` reaches each row: ``test_each_code_is_reached[CODE]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # init; match shares these, but for the ones about metainfo and sessions
        "Z8100": "init: a session was opened",
        "Z8101": "ServiceParameters or one of its fields is missing or wrong; the picture has no face; an "
        "attested match names no running session",
        "Z8102": "the key's product is closed or has expired, or the method is not in the key's scopes",
        "Z8105": "no such number, another name than its own, or (strict) a number that GB 11643 rules out",
        "Z8199": "a fault that none of the other rows names",
        "Z1108": "deviceType is not supported, or deviceModel is on the list of refused ones; another "
        "installation than the session's attests a match, or a camera that is not trusted took its frame",
        "Z1109": "osVersion is lower than the lowest one for its deviceType",
        "Z1110": "zimVer is lower than the lowest one",
        "Z1102": "the person has no usable template: none of this net, or all revoked",
        "Z1111": "the limits of the risk can't be asked",
        "Z1112": "the operator has suspended verification",
        "Z1199": "the net that compares can't be loaded",
        "Z5101": "metainfo is no JSON object, is empty, or is too long; an attestation is broken or wrongly "
        "signed",
        "Z5102": "metainfo lacks a field that a device rule needs; an installation or an attestation that is "
        "required is missing",
        "Z5103": "a field of metainfo that is needed can't be read; an attestation is late, or of another "
        "session or picture",
        "Z5199": "the session can't be stored",
        "Z1114": "too many failures of the person, the device or the key",
        # query
        "Z8300": "the session was finished by a match that reached the pass score",
        "Z8301": "a field is missing or wrong; the session is unknown, another key's, or has ended",
        "Z8302": "as Z8102",
        "Z8399": "a fault while the session is looked up or its evidence erased",
        "Z1146": "the session was finished by a match that did not reach the pass score",
        "Z5137": "the session is not finished",
    }
)
"""Cause by ``resultCodeSub``."""
