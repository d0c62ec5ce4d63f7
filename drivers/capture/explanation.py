"""APDUs as a tree of words: what each field says, and the data with its readings.

The one rule: values of secrets never get here (`drivers.capture.body` hides them), and passwords, challenges and
dedicated keys are told by their length alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from drivers.capture.body import Body, Outcome, Part, Reference, shape_of
from drivers.capture.readings import datum_node, named
from drivers.capture.tree import Node
from drivers.cosem.rendering import iso
from drivers.dlms import apdu
from drivers.dlms.acse import ACCEPTED, Aare, Aarq, Release, diagnostic_text
from drivers.dlms.apdu import (
    AccessAction,
    AccessSet,
    AccessSpecification,
    Apdu,
    Conformance,
    EntrySelection,
    RangeSelection,
    SelectedAttribute,
    decode_selection,
)
from profiles.classes import attribute_name, class_name, method_name
from profiles.errors import ProtocolError
from profiles.moments import DateTime
from profiles.objects import AttributeRef

_LONG: Final = (apdu.DataNotification, apdu.DataNotificationConfirm, apdu.AccessRequest, apdu.AccessResponse)
"""APDUs with a long invoke-id."""
_CONFIRMED, _HIGH_PRIORITY = 0x40, 0x80
_MECHANISMS: Final = (
    "none",
    "low (password)",
    "high, mechanism 2",
    "high, MD5",
    "high, SHA-1",
    "high, GMAC",
    "high, SHA-256",
    "high, ECDSA",
)
_RESULTS: Final = {ACCEPTED: "accepted", 1: "rejected for good", 2: "rejected for now"}


def apdu_nodes(value: Apdu) -> list[Node]:
    """What an APDU says beside its data."""
    match value:
        case apdu.ExceptionResponse() | apdu.ConfirmedServiceError():
            counter = getattr(value, "invocation_counter", None)
            expected = "" if counter is None else f", expected invocation counter {counter}"
            return [Node(value.text + expected)]
        case apdu.InitiateRequest() | apdu.InitiateResponse():
            return _initiate(value)
        case _:
            nodes = [_FIELDS[each.name](getattr(value, each.name)) for each in fields(value) if each.name in _FIELDS]
            invoke_id = getattr(value, "invoke_id", None)
            return [
                *_invoke_id(invoke_id, long=isinstance(value, _LONG)),
                *(node for node in nodes if node is not None),
            ]


def acse_nodes(value: Aarq | Aare | Release) -> list[Node]:
    """What an AARQ, AARE, RLRQ or RLRE says, beside the user information in it."""
    if isinstance(value, Release):
        return [] if value.reason is None else [Node(f"reason {value.reason}")]
    nodes = [Node(f"application context: logical names, {'with' if value.ciphered else 'without'} ciphering")]
    title = value.client_title if isinstance(value, Aarq) else value.system_title
    if title:
        nodes.append(Node(f"system title {title.hex().upper()}"))
    known = value.mechanism < len(_MECHANISMS)
    nodes.append(Node(f"authentication: {_MECHANISMS[value.mechanism] if known else value.mechanism}"))
    said = value.authentication_value if isinstance(value, Aarq) else value.challenge
    if said is not None:
        what = "challenge" if isinstance(value, Aare) or value.mechanism > 1 else "password"
        nodes.append(Node(f"{what}: {len(said)} octets, not shown"))
    if isinstance(value, Aare):
        nodes.append(Node(f"result: {_RESULTS.get(value.result, str(value.result))}"))
        if value.result != ACCEPTED or value.diagnostic:
            nodes.append(Node(f"diagnostic: {diagnostic_text(value.diagnostic_source, value.diagnostic)}"))
    return nodes


def body_nodes(body: Body, asked: Sequence[Reference] = ()) -> list[Node]:
    """The data of a message; beneath the name of what was asked for, where that is known."""
    match body:
        case None:
            return []
        case tuple(parts):
            references = [*asked, *[None] * (len(parts) - len(asked))]
            return [_part(part, reference, named=True) for part, reference in zip(parts, references, strict=False)]
        case part:
            return [_part(part, asked[0] if asked else None)]


def _part(part: Part, reference: Reference | None, *, named: bool = False) -> Node:
    label = reference_text(reference) if named and reference is not None else ""
    if isinstance(part, Outcome):
        return Node(f"{label}: {part.text}" if label else f"{part.kind}: {part.text}")
    return datum_node(part, shape_of(reference), label)


def reference_text(reference: Reference) -> str:
    """`1.0.1.8.0.255 Active energy import · Register · value`."""
    class_id, obis, index = reference
    what = attribute_name if isinstance(reference, AttributeRef) else method_name
    return f"{named(obis)} · {class_name(class_id)} · {what(class_id, index)}"


def date_time_text(stamp: bytes) -> str:
    """A date-time of 12 octets."""
    moment = DateTime(stamp)
    return iso(moment) or str(moment)


def _initiate(value: apdu.InitiateRequest | apdu.InitiateResponse) -> list[Node]:
    nodes = []
    if isinstance(value, apdu.InitiateRequest) and value.dedicated_key is not None:
        nodes.append(Node(f"dedicated key: {len(value.dedicated_key)} octets, not shown"))
    names = [_words(flag) for flag in Conformance if flag & value.conformance]
    nodes += [
        Node(f"DLMS version {value.dlms_version}"),
        Node(f"conformance {value.conformance:06x}: {', '.join(names)}"),
        Node(f"APDUs of at most {value.max_pdu or 'any number of'} octets"),
    ]
    return nodes


def _words(flag: Conformance) -> str:
    return (flag.name or "").lower().replace("_", " ")


def _invoke_id(value: int | None, *, long: bool) -> list[Node]:
    """invoke-id-and-priority; the long one, of 32 bits, has the same two bits at its top."""
    if value is None:
        return []
    number = value & 0xFF_FFFF if long else value & 0x0F
    flags = value >> 24 if long else value
    confirmed = "confirmed" if flags & _CONFIRMED else "unconfirmed"
    return [Node(f"invoke-id {number}, {confirmed}, {'high' if flags & _HIGH_PRIORITY else 'normal'} priority")]


def _selection(selection: bytes | None) -> Node | None:
    if selection is None:
        return None
    try:
        match decode_selection(selection):
            case RangeSelection(clock, start, end, columns):
                text = f"rows from {date_time_text(start)} to {date_time_text(end)} by {named(clock.obis)}"
                return Node(text, [Node(f"column {named(column.obis)}") for column in columns])
            case EntrySelection(first, last, first_column, last_column):
                return Node(
                    f"rows {first} to {last or 'the end'}, columns {first_column} to {last_column or 'the end'}"
                )
    except (ProtocolError, ValueError):
        return Node(f"selective access, selector {selection[0] if selection else '?'}")


def _selected(attributes: Sequence[SelectedAttribute]) -> Node:
    nodes = [Node(reference_text(each.attribute), _some(_selection(each.selection))) for each in attributes]
    return Node(f"{len(nodes)} attributes", nodes)


def _specifications(specifications: Sequence[AccessSpecification] | None) -> Node | None:
    if specifications is None:
        return None
    nodes = []
    for each in specifications:
        if isinstance(each, AccessAction):
            nodes.append(Node(f"action: {reference_text(each.method)}"))
        else:
            what = "set" if isinstance(each, AccessSet) else "get"
            nodes.append(Node(f"{what}: {reference_text(each.attribute)}", _some(_selection(each.selection))))
    return Node(f"{len(nodes)} accesses", nodes)


def _some(node: Node | None) -> list[Node]:
    return [] if node is None else [node]


def _stamp(stamp: bytes | None) -> Node | None:
    return Node(f"date-time {date_time_text(stamp)}") if stamp else None


_FIELDS: Final[Mapping[str, Callable[[Any], Node | None]]] = {
    "attribute": lambda reference: Node(reference_text(reference)),
    "method": lambda reference: Node(reference_text(reference)),
    "attributes": _selected,
    "methods": lambda methods: Node(f"{len(methods)} methods", [Node(reference_text(each)) for each in methods]),
    "specifications": _specifications,
    "selection": _selection,
    "block": lambda number: Node(f"block {number}"),
    "last": lambda last: Node("the last block") if last else None,
    "date_time": _stamp,
    "time": _stamp,
}
"""Fields of APDUs by name; what is not here is data, which the body shows."""
