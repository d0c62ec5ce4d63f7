"""Serial ports of this machine: which of them may be an optical probe, whether we may open them, what address to type.

The one rule: nothing is opened. What a port is, is told by what the operating system says of its adapter.
"""

from __future__ import annotations

import grp
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headend.words import words

if TYPE_CHECKING:
    from serial.tools.list_ports_common import ListPortInfo

ADAPTERS: Final = {
    0x0403: "FTDI",
    0x067B: "Prolific",
    0x10C4: "Silicon Labs",
    0x1A86: "WCH",
    0x9710: "MosChip",
    0x04E2: "Exar",
    0x0557: "ATEN",
    0x04B4: "Cypress",
}
"""Makers of the chips, by USB vendor id, that optical probes and RS-485 adapters are built with."""
PROBE_WORDS: Final = ("optical", "probe", "ir head", "ir-adapter", "infrared", "iec 62056", "iec 61107")
BY_ID: Final = Path("/dev/serial/by-id")
USUAL_GROUP: Final = "dialout"


@dataclass(frozen=True, slots=True)
class Port:
    """One serial port. `kind`: `probe`, `adapter` or `other`; `why` says what makes it so."""

    device: str
    kind: str
    why: str
    maker: str
    usb: str
    """Vendor and product id in hex; empty for what is no USB device."""
    serial: str
    """Of the adapter."""
    address: str
    """What to type for a meter behind it."""
    problem: str
    """Why we can't use it, with the remedy; empty where nothing speaks against it."""


def serial_ports() -> list[Port]:
    """All ports, those that look most like a probe first."""
    from serial.tools.list_ports import comports

    order = ("probe", "adapter", "other")
    return sorted((port_of(info) for info in comports()), key=lambda port: (order.index(port.kind), port.device))


def port_of(info: ListPortInfo, by_id: Path = BY_ID) -> Port:
    """What is known of one port; `by_id` is a folder of names that stay when adapters are plugged elsewhere."""
    kind, why = _kind(info)
    path = _lasting_name(info.device, by_id)
    query = "" if kind == "other" and info.vid is None else "?mode=e" if kind == "probe" else "?baud=9600"
    return Port(
        info.device,
        kind,
        why,
        info.manufacturer or ADAPTERS.get(info.vid or 0, ""),
        "" if info.vid is None else f"{info.vid:04x}:{info.pid or 0:04x}",
        info.serial_number or "",
        f"serial:{'//' if path.startswith('/') else ''}{path}{query}",
        problem_of(info.device),
    )


def problem_of(device: str) -> str:
    """Why this user can't open a port; empty where they can, or nobody can tell without opening it."""
    try:
        about = os.stat(device)
    except OSError as error:
        return words("watch.port_gone", why=error.strerror) if Path(device).is_absolute() else ""
    if os.access(device, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return ""
    group = _group(about)
    return words("watch.port_forbidden", group=group)


def _group(about: os.stat_result) -> str:
    """The group whose members may use a port."""
    if about.st_mode & stat.S_IWGRP and about.st_mode & stat.S_IRGRP and about.st_gid != 0:
        try:
            return grp.getgrgid(about.st_gid).gr_name
        except KeyError:
            pass
    return USUAL_GROUP


def _kind(info: ListPortInfo) -> tuple[str, str]:
    said = " ".join(filter(None, (info.product, info.description, info.manufacturer))).lower()
    for word in PROBE_WORDS:
        if word in said:
            return "probe", words("watch.port_says_probe", name=info.product or info.description)
    if info.vid in ADAPTERS:
        return "adapter", words("watch.port_is_adapter", maker=ADAPTERS[info.vid])
    if info.vid is not None:
        name = info.product or info.description
        return "other", words("watch.port_is_usb", name=name) if name else words("watch.port_is_nameless")
    return "other", words("watch.port_is_own")


def _lasting_name(device: str, by_id: Path) -> str:
    try:
        names = sorted(name for name in by_id.iterdir() if name.resolve() == Path(device).resolve())
    except OSError:
        names = []
    return str(names[0]) if names else device
