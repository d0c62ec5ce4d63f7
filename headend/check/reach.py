"""Whether the meter is reached, and where on the way it ends if not.

The one rule: the meter is asked as the public client, which every meter answers and no key protects; what is tried
beside the address as given (the other framing, the usual logical device) is tried once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Final

from drivers.address import LINES, Address, Scheme
from drivers.dlms import axdr
from drivers.links import open_link
from drivers.session import Session
from headend.check.patient import Patient
from headend.words import words
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkError,
    LinkTimeout,
    MeterBusy,
    ProtocolError,
    SettingsError,
)
from profiles.objects import AttributeRef

_DATA, _VALUE = 1, 2
_PROBE_S: Final = 3.0
"""How long another framing, or another logical device, has to answer."""
_OTHER_FRAMING: Final = {Scheme.TCP: Scheme.HDLC_TCP, Scheme.HDLC_TCP: Scheme.TCP}


async def reached(patient: Patient) -> bool:
    """Ask as the public client, and learn the counters that it shows; whether anybody answered."""
    patient.telling.say(words("check.calling_public", address=patient.address))
    began = time.monotonic()
    try:
        async with patient.session(patient.public, {}) as session:
            answered = time.monotonic()
            await _ask(patient, session)
    except SettingsError:
        raise
    except AccessDenied:
        patient.add("reached", asked=patient.framing, ms=(time.monotonic() - began) * 1000)
        return True
    except HeadEndError as error:
        await _not_reached(patient, error)
        return False
    patient.add("reached", asked=patient.framing, ms=(answered - began) * 1000)
    patient.opened.append(patient.public)
    await asyncio.sleep(patient.meter_type.session_habit.pause_s)
    return True


async def _ask(patient: Patient, session: Session) -> None:
    """The highest counter that the meter has seen, of each association that counts."""
    for kind in patient.meter_type.associations.values():
        if kind.invocation_counter is None or not kind.needs_keys:
            continue
        with contextlib.suppress(AccessDenied, ProtocolError):
            value = axdr.decode(await session.get(AttributeRef(_DATA, kind.invocation_counter, _VALUE)))
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF_FFFF:
                patient.told_counters[kind.name] = value


async def _not_reached(patient: Patient, error: HeadEndError) -> None:
    why = error.message
    if isinstance(error, IdentityMismatch):
        patient.add("another_meter", why=why)
    elif isinstance(error, MeterBusy):
        patient.add("busy", why=why)
    elif isinstance(error, LinkError) and error.asked == "connect":
        serial = patient.address.scheme in LINES and not isinstance(error, LinkTimeout)
        named = "no_such_name" if "is not known" in why else "no_serial_port" if serial else "no_connection"
        patient.add(named, why=why, host=patient.address.host)
    elif not await _answers_otherwise(patient):
        if isinstance(error, LinkTimeout):
            patient.add("silent", asked=patient.framing, why=why)
        else:
            patient.add("hung_up" if isinstance(error, LinkError) else "not_dlms", why=why)


async def _answers_otherwise(patient: Patient) -> bool:
    """Whether the usual logical device answers, or the other framing."""
    address = patient.address
    usual = patient.meter_type.server_sap
    if address.server not in (None, usual) and await _answers(patient, replace(address, server=None)):
        patient.add("wrong_server", asked=address.server, right=usual)
        return True
    other = _OTHER_FRAMING.get(address.scheme)
    if other is not None and await _answers(patient, replace(address, scheme=other)):
        names = {Scheme.TCP: words("check.wrapper"), Scheme.HDLC_TCP: words("check.hdlc")}
        patient.add(
            "other_framing", spoken=names[other], asked=names[address.scheme], address=replace(address, scheme=other)
        )
        return True
    return False


async def _answers(patient: Patient, address: Address) -> bool:
    """Whether the public client is let in there, or HDLC connected."""
    limited = replace(address, timeout_s=min(address.timeout_s, _PROBE_S))
    trying = "check.trying_server" if limited.server else "check.trying_usual"
    patient.telling.say(words(trying, scheme=limited.scheme, server=limited.server))
    server = limited.server if limited.server is not None else patient.meter_type.server_sap
    with contextlib.suppress(HeadEndError):
        if limited.scheme is Scheme.HDLC_TCP:
            link = await open_link(
                limited, client=patient.public.client_sap, server=server, transcript=patient.transcript
            )
            await link.close()
            return True
        async with patient.session(patient.public, {}, address=limited):
            return True
    return False
