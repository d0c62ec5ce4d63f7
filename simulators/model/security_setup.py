"""Security setup (Blue Book, class 64, version 1) of each association: its protection, and the transfer of new keys.

The one rule: the keys are those of the meter, whichever setup they are transferred to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from drivers.dlms.security import AUTHENTICATION, ENCRYPTION, KeyId, decode_key_transfer
from profiles.errors import SecurityError
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators import event_log
from simulators.objects import SECURITY_SETUP, Attribute, CosemObject
from simulators.refusals import Refused, Result

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_KNOWN: Final = frozenset({KeyId.GLOBAL_UNICAST_ENCRYPTION, KeyId.AUTHENTICATION, KeyId.MASTER})
"""There is no broadcast to a simulated meter, and so no key for it."""
_AUTHENTICATED: Final = 1 << 2 | 1 << 5
_ENCRYPTED: Final = 1 << 3 | 1 << 6
_SIGNED: Final = 1 << 4 | 1 << 7
"""Bits of the security policy: of requests and of responses."""


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    return {setup_of(kind): _setup(kind) for kind in sorted(meter_type.associations.values(), key=_is_protected)}


def _is_protected(kind: Association) -> bool:
    """Of associations that share a setup, it is that of a protected one."""
    return kind.protected


def setup_of(kind: Association) -> Obis:
    """The logical name of the security setup of an association: 0.0.43.0.n for the association 0.0.40.0.n."""
    return Obis(0, 0, 43, 0, kind.logical_name.e)


def _setup(kind: Association) -> CosemObject:
    attributes = {
        2: Attribute(lambda *_: axdr.enum(_policy(kind))),
        3: Attribute(lambda *_: axdr.enum(kind.suite)),
        4: Attribute(lambda meter, _: axdr.octet_string(meter.client_title)),
        5: Attribute(lambda meter, _: axdr.octet_string(meter.identity.system_title)),
        6: Attribute(lambda *_: axdr.array([])),
    }
    return CosemObject(SECURITY_SETUP, attributes, {2: _transfer_keys}, version=1)


def _policy(kind: Association) -> int:
    policy = _SIGNED if kind.signed else 0
    policy |= _AUTHENTICATED if kind.security_control & AUTHENTICATION else 0
    return policy | (_ENCRYPTED if kind.security_control & ENCRYPTION else 0)


def _transfer_keys(meter: SimulatedMeter, kind: Association, parameters: bytes | None) -> None:
    """Replace keys by those wrapped under the master key, all or none; they count from the next association on."""
    try:
        keys = decode_key_transfer(meter.keys.master, parameters or b"")
    except SecurityError:
        raise Refused(Result.OTHER_REASON) from None
    if not keys or not keys.keys() <= _KNOWN:
        raise Refused(Result.OTHER_REASON)
    meter.replace_keys(
        replace(
            meter.keys,
            encryption=keys.get(KeyId.GLOBAL_UNICAST_ENCRYPTION, meter.keys.encryption),
            authentication=keys.get(KeyId.AUTHENTICATION, meter.keys.authentication),
            master=keys.get(KeyId.MASTER, meter.keys.master),
        )
    )
    meter.note(event_log.KEYS_CHANGED)
