"""From the options of a raw command to a session: any association of any meter, with a type file or without.

The one rule: what stands on the command line wins over the address, the address over the type, the type over defaults.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar, cast

from drivers.address import Address
from drivers.links.transcript import Transcript, write_transcript
from drivers.reading import association_of
from drivers.session import Session
from headend.cli.access_options import MECHANISMS, Access
from headend.interrupting import run_with_meter
from headend.keys import KeySources, key_texts, needed_keys, title_from
from headend.raw_names import parse_obis
from headend.reading.target import target_of
from headend.single_session import Counting, open_single_session
from headend.times import local_zone
from profiles.errors import HeadEndError, LinkError, SettingsError
from profiles.loader import load_meter_type
from profiles.meter_type import Association, Ciphering, Deviation, KeyOrigin, MeterType
from profiles.objects import AttributeRef, Obis

T = TypeVar("T")

PUBLIC_CLIENT: Final = 16
ECDSA: Final = 7
SERIAL: Final = AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)
_CLOCK: Final = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
_CURRENT_ASSOCIATION: Final = Obis(0, 0, 40, 0, 0)
_POLICIES: Final = {"none": 0x00, "authentication": 0x10, "encryption": 0x20, "both": 0x30}


@dataclass(frozen=True, slots=True)
class Way:
    """A way into one meter."""

    address: Address
    meter_type: MeterType
    kind: Association
    keys: Mapping[str, str] = field(repr=False)
    counting: Counting
    client_title: bytes
    server_title: str | None
    range_deviation: Deviation
    """How date-times of a selection are sent; without a type "not specified", which every meter takes."""
    registered: bool = False
    """A meter of the utility's registry."""

    def session(self, transcript: Transcript | None) -> AbstractAsyncContextManager[Session]:
        """Connect, associate; release and close on the way out."""
        return open_single_session(
            self.address,
            self.meter_type,
            self.kind,
            self.keys,
            self.counting,
            client_title=self.client_title,
            server_title=self.server_title,
            transcript=transcript,
        )


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter that can be asked, in one session after the other."""

    way: Way
    transcript: Transcript | None

    def run(self, job: Callable[[Session], Awaitable[T]]) -> T:
        """Open a session, do the job in it, close it. Every HeadEndError names the meter."""
        try:
            return run_with_meter(self._run(job))
        except HeadEndError as error:
            if isinstance(error, LinkError) and error.asked == "associate" and _counts_blindly(self.way.kind):
                error.remedy += "; or our invocation counter is behind the meter's: name its own with --counter-object"
            raise error.at(meter=str(self.way.address)) from None

    async def _run(self, job: Callable[[Session], Awaitable[T]]) -> T:
        async with self.way.session(self.transcript) as session:
            return await job(session)


@contextmanager
def meter_of(access: Access) -> Iterator[Meter]:
    """The meter that the options mean. Raises SettingsError, before any meter is asked."""
    way = way_of(access)
    with write_transcript(access.trace) as transcript:
        yield Meter(way, transcript)


def _counts_blindly(kind: Association) -> bool:
    """Whether our counters may be behind the meter's, at which many meters just hang up."""
    return kind.needs_keys and kind.invocation_counter is None


async def _done(job: Awaitable[T]) -> T:
    return await job


def way_of(access: Access) -> Way:
    """What the options say; SettingsError where they don't go together or a key is missing and can't be asked for."""
    target = target_of(access.address)
    type_name = access.meter_type or target.meter_type
    changes: dict[str, Any] = {
        "client": access.client,
        "server": access.server,
        "timeout_s": access.timeout,
    }
    address = replace(target.address, **{name: value for name, value in changes.items() if value is not None})
    meter_type = load_meter_type(type_name) if type_name is not None else _any_meter(access)
    kind = _association(access, association_of(meter_type, address) if type_name else _any_association(address))
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    sources = KeySources(access.keys, access.given_keys, asks, target.saved)
    keys = key_texts(sources, address, kind)
    for name in access.given_keys:
        if name not in needed_keys(kind):
            raise SettingsError(
                f"the {name.replace('_', ' ')} was given, and this association needs none",
                remedy="see --mechanism, --security, --ciphering, --key-origin and --signed",
            )
    return Way(
        address,
        meter_type,
        kind,
        keys,
        Counting(access.counters, access.counter or 0, access.accept_counter),
        title_from(access.client_title),
        access.server_title or target.system_title,
        meter_type.deviation if type_name is not None else "ignore",
        target.registered,
    )


def deviation_of(access: Access) -> Deviation:
    """What the deviation of the meter's date-times means; the standard's sense without a type."""
    type_name = access.meter_type or target_of(access.address).meter_type
    return load_meter_type(type_name).deviation if type_name is not None else "utc-minus-local"


def _association(access: Access, base: Association) -> Association:
    """The association with what the options change of it."""
    changes: dict[str, Any] = {
        "max_pdu": access.max_pdu,
        "ciphering": cast("Ciphering | None", access.ciphering and access.ciphering.value),
        "key_origin": cast("KeyOrigin | None", access.key_origin and access.key_origin.value),
        "signed": access.signed,
        "pre_established": access.pre_established,
        "mechanism": None if access.mechanism is None else MECHANISMS.index(access.mechanism),
        "invocation_counter": None if access.counter_object is None else parse_obis(access.counter_object),
    }
    suite = base.suite if access.suite is None else access.suite
    policy = base.security_control & 0x30 if access.security is None else _POLICIES[access.security.value]
    kind = replace(base, **{name: value for name, value in changes.items() if value is not None})
    kind = replace(kind, security_control=policy | suite)
    if access.counter is not None and access.counter_object is None:
        kind = replace(kind, invocation_counter=None)
    _check_together(access, kind)
    return kind


def _check_together(access: Access, kind: Association) -> None:
    """Options that need another one to mean anything."""
    if access.ciphering is not None and not kind.ciphered:
        raise SettingsError(f"--ciphering {access.ciphering} needs --security", remedy="add --security both")
    if access.key_origin is not None and kind.ciphering != "general-ciphering":
        raise SettingsError(f"--key-origin {access.key_origin} needs --ciphering general-ciphering")
    agreed = kind.ciphering == "general-ciphering" and kind.key_origin in ("one-pass", "static-unified")
    if kind.suite == 0 and (kind.signed or kind.mechanism == ECDSA or agreed):
        raise SettingsError("security suite 0 has no key pairs to sign or agree on keys with", remedy="add --suite 1")
    if access.counter_object is not None and not kind.needs_keys:
        raise SettingsError("--counter-object: this association counts no invocations", remedy="see --security")


def _any_association(address: Address) -> Association:
    """No type: the public client, in clear, until the options say otherwise."""
    return Association(
        name=f"of client {address.client or PUBLIC_CLIENT}",
        client_sap=address.client or PUBLIC_CLIENT,
        mechanism=0,
        security_control=0,
        logical_name=_CURRENT_ASSOCIATION,
        invocation_counter=None,
        max_pdu=0xFFFF,
    )


def _any_meter(access: Access) -> MeterType:
    """A meter of which only the standard is known."""
    public = replace(_any_association(Address("")), name="public", client_sap=access.public_client or PUBLIC_CLIENT)
    return MeterType(
        name="any",
        title="A meter without a type file",
        server_sap=1,
        zone=str(local_zone()),
        deviation="utc-minus-local",
        associations={"public": public},
        profiles={},
        clock=_CLOCK,
        serial=SERIAL,
        nameplate=None,
        reading_association="public",
        drift_allowed_s=0,
        doubts=(),
    )
