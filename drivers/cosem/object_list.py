"""The object list of an association (class 15, attribute 2): which objects there are, and what may be done with them.

The one rule: rights are those of the association that was asked; another association of the same meter has others.
How an access mode is written changed with the association's version (Blue Book 4.4.4); `Access` is the newest form,
into which all are translated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Any, Final

from drivers.cosem.attributes import interpret
from drivers.dlms import axdr
from profiles.classes import CLASSES
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, MethodRef, Obis

ASSOCIATION_LN: Final = 15
CURRENT_ASSOCIATION: Final = Obis(0, 0, 40, 0, 0)
OBJECT_LIST: Final = AttributeRef(ASSOCIATION_LN, CURRENT_ASSOCIATION, 2)

_BY_FLAGS: Final = 3
"""The association version from which on an access mode is a set of bits."""


class Access(IntFlag):
    """What may be done, and what protection a request and its response must carry (association version 3)."""

    READ = 1 << 0
    WRITE = 1 << 1
    AUTHENTICATED_REQUEST = 1 << 2
    ENCRYPTED_REQUEST = 1 << 3
    SIGNED_REQUEST = 1 << 4
    AUTHENTICATED_RESPONSE = 1 << 5
    ENCRYPTED_RESPONSE = 1 << 6
    SIGNED_RESPONSE = 1 << 7


_AUTHENTICATED: Final = Access.AUTHENTICATED_REQUEST
_MODES: Final = (
    Access(0),
    Access.READ,
    Access.WRITE,
    Access.READ | Access.WRITE,
    Access.READ | _AUTHENTICATED,
    Access.WRITE | _AUTHENTICATED,
    Access.READ | Access.WRITE | _AUTHENTICATED,
)
"""Attribute access modes up to version 2, by number."""
_METHOD_MODES: Final = (Access(0), Access.READ, Access.READ | _AUTHENTICATED)
"""Method access modes up to version 2; bit 0 of a method's rights is "may be called"."""


@dataclass(frozen=True, slots=True)
class AttributeRight:
    """What this association may do with an attribute; `selectors` are the kinds of selective access it offers."""

    attribute: int
    access: Access
    selectors: tuple[int, ...] = ()

    @property
    def readable(self) -> bool:
        return Access.READ in self.access

    @property
    def writable(self) -> bool:
        return Access.WRITE in self.access


@dataclass(frozen=True, slots=True)
class MethodRight:
    """Whether this association may call a method."""

    method: int
    access: Access

    @property
    def callable(self) -> bool:
        return Access.READ in self.access


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object as the list has it."""

    class_id: int
    version: int
    obis: Obis
    attributes: tuple[AttributeRight, ...]
    methods: tuple[MethodRight, ...]

    @property
    def readable(self) -> tuple[AttributeRef, ...]:
        """The attributes that may be read, in the list's order."""
        return tuple(AttributeRef(self.class_id, self.obis, one.attribute) for one in self.attributes if one.readable)

    @property
    def callable(self) -> tuple[MethodRef, ...]:
        """The methods that may be called, in the list's order."""
        return tuple(MethodRef(self.class_id, self.obis, one.method) for one in self.methods if one.callable)

    def right(self, attribute: int) -> AttributeRight | None:
        """The right to an attribute; None where the list does not name it."""
        return next((one for one in self.attributes if one.attribute == attribute), None)


def decode_object_list(data: bytes, version: int | None = None) -> tuple[ListedObject, ...]:
    """The objects of an association's list, in its order; ProtocolError where it is none.

    `version` is the association's own; where it is not given, the list says it in its entry of the association itself.
    """
    shape = CLASSES[ASSOCIATION_LN, _BY_FLAGS].attributes[OBJECT_LIST.attribute - 1][1]
    try:
        entries: tuple[dict[str, Any], ...] = interpret(shape, axdr.decode(data))
    except ProtocolError as error:
        error.at(asked=f"get {OBJECT_LIST}")
        raise
    by_flags = (_own_version(entries) if version is None else version) >= _BY_FLAGS
    return tuple(_listed(entry, by_flags=by_flags) for entry in entries)


def access_text(access: Access, *, method: bool = False) -> str:
    """`read, write`; `read, authenticated request`; `call` for a method; `no access`."""
    names = [str(flag.name).lower().replace("_", " ") for flag in Access if flag in access]
    if method:
        names = ["call" if name == "read" else name for name in names]
    return ", ".join(names) or "no access"


def _own_version(entries: tuple[dict[str, Any], ...]) -> int:
    """The version of the association that the list belongs to; 0 where it does not list itself."""
    versions = {entry["logical_name"]: entry["version"] for entry in entries if entry["class_id"] == ASSOCIATION_LN}
    own: int = versions.get(CURRENT_ASSOCIATION, max(versions.values(), default=0))
    return own


def _listed(entry: dict[str, Any], *, by_flags: bool) -> ListedObject:
    rights = entry["access_rights"]
    return ListedObject(
        entry["class_id"],
        entry["version"],
        entry["logical_name"],
        tuple(
            AttributeRight(
                one["attribute_id"],
                _access(one["access_mode"], _MODES, by_flags=by_flags),
                one["access_selectors"] or (),
            )
            for one in rights["attribute_access"]
        ),
        tuple(
            MethodRight(one["method_id"], _access(one["access_mode"], _METHOD_MODES, by_flags=by_flags))
            for one in rights["method_access"]
        ),
    )


def _access(mode: int, modes: tuple[Access, ...], *, by_flags: bool) -> Access:
    """A mode that no version knows gives no right."""
    if by_flags:
        return Access(mode & 0xFF)
    return modes[mode] if 0 <= mode < len(modes) else Access(0)
