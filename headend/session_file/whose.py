"""Whose session file it is: the registered meter that it names.

The one rule: system title, serial and device id must not speak of two meters; what a file says of a meter is stored
under that meter or nowhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from headend.listed import rows_of
from headend.session_file.contents import SaidIdentity
from headend.store.database import Connection, store_errors
from profiles.errors import IdentityMismatch, SettingsError

_REGISTER: Final = (
    "register it first: `headend meters import FILE` takes a list with name, serial, system_title, address and "
    "meter_type"
)


class RegisteredMeter(NamedTuple):
    """A row of `meters_of_file`."""

    id: int
    name: str
    serial: str
    system_title: bytes | None
    device_id: str | None
    meter_type: str
    maker: str
    firmware: str
    commissioned_at: datetime


async def registered_meter(connection: Connection, said: SaidIdentity) -> RegisteredMeter:
    """The meter that said this. SettingsError where it is not registered, IdentityMismatch where what it said speaks
    of several, StoreError."""
    title = _title(said)
    devices = [name for name in dict.fromkeys((said.device_id, said.logical_device_name)) if name]
    parameters = {"serial": said.serial or None, "title": title, "devices": devices}
    async with store_errors():
        found = [RegisteredMeter(*row) for row in await rows_of(connection, "meters_of_file", parameters)]
    sure = [one for one in found if said.serial == one.serial or (title is not None and title == one.system_title)]
    if len(sure) > 1 or (not sure and len(found) > 1):
        names = " and ".join(one.name for one in sure or found)
        raise IdentityMismatch(f"{_named(said)} could be {names}", remedy="put system titles and serials right")
    if not (sure or found):
        raise SettingsError(f"{_named(said)} is not registered", remedy=_REGISTER)
    meter = (sure or found)[0]
    for what, ours, theirs in (
        ("system title", meter.system_title and meter.system_title.hex().upper(), title and title.hex().upper()),
        ("serial", meter.serial, said.serial),
    ):
        if ours and theirs and ours != theirs:
            raise IdentityMismatch(
                f"{_named(said)} has {what} {theirs}, and {ours} is registered",
                meter=meter.name,
                remedy="it is another meter, or was replaced: see `headend meters show`",
            )
    return meter


def _title(said: SaidIdentity) -> bytes | None:
    try:
        title = bytes.fromhex(said.system_title)
    except ValueError:
        title = b"?"
    if title and len(title) != 8:
        raise SettingsError("the file's system title is none")
    return title or None


def _named(said: SaidIdentity) -> str:
    """As the file names its meter."""
    parts = (
        f"serial {said.serial}" if said.serial else "",
        f"system title {said.system_title}" if said.system_title else "",
        f"device {said.device_id or said.logical_device_name}" if said.device_id or said.logical_device_name else "",
    )
    return "the file's meter (" + (", ".join(part for part in parts if part) or "which did not say who it is") + ")"
