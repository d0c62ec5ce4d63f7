"""What two parties say to each other, APDU by APDU: opened, put together from blocks, explained.

The one rule: later APDUs are read by what earlier ones taught: system titles and the dedicated key of AARQ and AARE,
the attributes that a request named, the pieces of a block transfer. Nothing else is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final

from drivers.capture.blocks import Block, Datablocks, Transfers, joined
from drivers.capture.body import Body, Reference, body_json, body_of, last_data, references_of
from drivers.capture.explanation import acse_nodes, apdu_nodes, body_nodes, reference_text
from drivers.capture.framing import NAMES, Frame, Unit
from drivers.capture.opening import Keys, Opened, Security, control_text, open_content
from drivers.capture.readings import column_names
from drivers.capture.tree import Node
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.apdu import (
    AgreedKey,
    Apdu,
    GatewayRequest,
    GatewayResponse,
    GeneralBlockTransfer,
    GeneralCiphering,
    GeneralDedCiphering,
    GeneralGloCiphering,
    GeneralSigning,
    ServiceCiphered,
    WrappedKey,
    tags,
)
from drivers.dlms.axdr import Datum, Reader, decode_typed
from drivers.dlms.security import Key, unwrap_key
from profiles.errors import ProtocolError, SecurityError
from profiles.objects import AttributeRef, Obis

_MAX_LAYERS: Final = 8
_ACSE: Final[Mapping[int, tuple[str, Callable[[bytes], acse.Aarq | acse.Aare | acse.Release]]]] = {
    0x60: ("aarq", acse.decode_aarq),
    0x61: ("aare", acse.decode_aare),
    0x62: ("rlrq", acse.decode_rlrq),
    0x63: ("rlre", acse.decode_rlre),
}
_REQUESTS: Final = frozenset({1, 5, 6, 22, 192, 193, 195, 0x60, 0x62, tags.ACCESS_REQUEST})
"""First octets of what a client sends, in clear."""
_PROFILE_GENERIC, _BUFFER, _CAPTURE_OBJECTS = 7, 2, 3
_INVOKE_ID: Final = 0x0F
_AUTHENTICATION_VALUE: Final = 0xAC
_LONG: Final = 0x80 + 2
"""From so many octets on a BER element inside needs two octets for its length."""
_DEDICATED_OCTETS: Final = frozenset({16, 32})


class Grade(Enum):
    """How bad it is."""

    REMARK = auto()
    REFUSED = auto()
    """A key was given, and does not fit."""
    BROKEN = auto()
    """Not DLMS as it has to be."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is not as it should be with a message. `octet` counts within its APDU."""

    grade: Grade
    text: str
    octet: int = 0


@dataclass(slots=True)
class Message:
    """One APDU, explained. `apdu` is the Green Book's name, None where it is not understood."""

    apdu: str | None
    frames: tuple[Frame, ...]
    security: Security | None = None
    body: Body = None
    nodes: list[Node] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    time: datetime | None = None
    stream: str = ""

    def as_json(self) -> dict[str, Any]:
        """As `decode --json` prints it."""
        return {
            "apdu": self.apdu,
            "frames": [frame.as_json() for frame in self.frames],
            "security": None if self.security is None else self.security.as_json(),
            "body": body_json(self.body),
        }


class _IncompleteError(Exception):
    """A block of an APDU that is not whole yet."""


class Conversation:
    """One association, or several one after the other, between the same two parties."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._titles: dict[bool, bytes] = {}
        """By whether it is the client's."""
        self._dedicated: Key | None = None
        self._asked: dict[int, tuple[tuple[Reference, ...], bool]] = {}
        """What was asked for last by invoke-id, and whether as a list."""
        self._columns: dict[Obis, list[str]] = {}
        """Names of the columns of each profile whose capture objects were read."""
        self._datablocks = Datablocks()
        self._transfers = Transfers()

    def hear(self, unit: Unit, stream: str = "", *, hidden: bool) -> Message | None:
        """The message that this APDU is or completes; None where more blocks are due.

        `hidden`: the capture leaves out octets of it. ProtocolError where it is no APDU.
        """
        message = Message(None, unit.frames)
        try:
            self._read(unit.apdu, message, unit.sender or stream, hidden=hidden)
        except _IncompleteError:
            return None
        return message

    def unfinished(self) -> list[str]:
        """What has begun and does not end in the capture."""
        return [
            f"a general block transfer that does not end: {len(transfer.blocks)} blocks, missing are "
            + (", ".join(map(str, transfer.missing[:20])) or "those after the last")
            for transfer in self._transfers.unfinished()
        ]

    # --- layers -----------------------------------------------------------------------------------------------

    def _read(self, octets: bytes, message: Message, sender: str, *, hidden: bool) -> None:
        nodes = message.nodes
        for _ in range(_MAX_LAYERS):
            if octets[:1] and octets[0] in _ACSE:
                self._acse(octets, message, nodes, hidden=hidden)
                return
            value = self._decoded(octets, message, nodes, hidden=hidden)
            if value is None:
                return
            message.apdu = value.name
            node = Node(value.name)
            nodes.append(node)
            match value:
                case GatewayRequest() | GatewayResponse():
                    node.text += f", network {value.network_id}, device {value.address.hex()}"
                    octets = value.apdu
                case GeneralBlockTransfer():
                    octets = self._transferred(value, message, node, sender)
                    if not octets:
                        return
                case GeneralSigning():
                    title = value.header.originator_system_title
                    message.security = Security(None, title, None, verified=False)
                    node.children.append(Node(f"signed by {title.hex().upper()}; the signature is not checked"))
                    octets = value.content
                case ServiceCiphered() | GeneralGloCiphering() | GeneralDedCiphering() | GeneralCiphering():
                    opened = self._open(value)
                    self._show_security(opened, message, node)
                    if opened.plain is None:
                        return
                    octets = opened.plain
                case _:
                    self._service(value, message, node, len(octets))
                    return
            nodes = node.children
        raise ProtocolError(f"more than {_MAX_LAYERS} layers around an APDU")

    @staticmethod
    def _decoded(octets: bytes, message: Message, nodes: list[Node], *, hidden: bool) -> Apdu | None:
        try:
            return apdu.decode(octets)
        except ProtocolError:
            name = NAMES.get(octets[0]) if octets and hidden else None
            if name is None:
                raise
        message.apdu = name
        nodes.append(Node(name, [Node("what it says is hidden in the transcript")]))
        return None

    def _transferred(self, block: GeneralBlockTransfer, message: Message, node: Node, sender: str) -> bytes:
        """The whole APDU; empty for an acknowledgement. Raises _IncompleteError where other blocks are due."""
        transfer = self._transfers.add(sender, block, message.frames)
        if transfer is None and block.data:
            raise _IncompleteError
        if transfer is None:
            node.children.append(Node(f"block {block.block}, acknowledges {block.acknowledged}, no data"))
            return b""
        count = sum(map(bool, transfer.blocks.values()))
        node.text += f", {count} blocks"
        message.frames = tuple(transfer.frames)
        return joined(transfer)

    # --- protection -------------------------------------------------------------------------------------------

    def _open(self, value: ServiceCiphered | GeneralGloCiphering | GeneralDedCiphering | GeneralCiphering) -> Opened:
        key, missing, refused = self._keys.encryption, "no key is given (--key)", False
        expected, from_client, fields, named = None, None, b"", b""
        match value:
            case ServiceCiphered():
                expected, dedicated = value.plain_tag, value.dedicated
                from_client = expected in _REQUESTS
            case GeneralCiphering(header, key_info):
                named, fields, dedicated = header.originator_system_title, header.encode(), False
                if isinstance(key_info, AgreedKey):
                    key, missing = None, "its key was agreed on by key pairs: it stays closed"
                elif isinstance(key_info, WrappedKey):
                    key, missing = self._unwrapped(key_info)
                    refused = self._keys.master is not None
            case _:
                named, dedicated = value.system_title, isinstance(value, GeneralDedCiphering)
        if dedicated:
            key = self._dedicated
            missing = "under a dedicated key, which no AARQ in the capture tells: it stays closed"
        titles = [named] if named else self._candidates(from_client)
        opened = open_content(
            value.content,
            key,
            self._keys.authentication,
            titles,
            lambda plain: _reads(plain, expected),
            fields=fields,
            missing=missing,
            refused=refused,
        )
        if opened.plain and named:
            self._titles[opened.plain[0] in _REQUESTS] = named
        return opened

    def _unwrapped(self, key_info: WrappedKey) -> tuple[Key | None, str]:
        """The key that came along, or why there is none."""
        if self._keys.master is None:
            return None, "its key came along, wrapped by the master key (--master-key)"
        try:
            return unwrap_key(self._keys.master, key_info.ciphered_key), ""
        except SecurityError as error:
            return None, f"{error.message}: wrong master key"

    def _candidates(self, from_client: bool | None) -> list[bytes]:
        """Titles that the sender may have, the likeliest first."""
        own = bool(from_client)
        return [self._titles.get(own, b""), self._keys.system_title, self._titles.get(not own, b"")]

    @staticmethod
    def _show_security(opened: Opened, message: Message, node: Node) -> None:
        security = message.security = opened.security
        title = security.system_title.hex().upper() or "not known"
        if security.control is not None:
            node.children.append(Node(f"security control {security.control:02x}: {control_text(security.control)}"))
        node.children.append(Node(f"system title {title}, counter {security.counter}"))
        state = "verified" if security.verified else f"{'closed' if opened.plain is None else 'not verified'}: "
        node.children.append(Node(state + opened.remark))
        if opened.remark:
            grade = Grade.REFUSED if opened.refused else Grade.REMARK
            message.problems.append(Problem(grade, opened.remark))

    # --- associations -----------------------------------------------------------------------------------------

    def _acse(self, octets: bytes, message: Message, nodes: list[Node], *, hidden: bool) -> None:
        message.apdu, decode = _ACSE[octets[0]]
        value = decode(_filled(octets) if hidden else octets)
        node = Node(message.apdu.upper(), acse_nodes(value))
        nodes.append(node)
        if isinstance(value, acse.Aarq):
            self._dedicated = None
            self._asked.clear()
        title = value.client_title if isinstance(value, acse.Aarq) else getattr(value, "system_title", None)
        if title:
            self._titles[isinstance(value, acse.Aarq)] = title
        if value.user_information:
            self._initiate(value.user_information, message, node, hidden=hidden)

    def _initiate(self, octets: bytes, message: Message, node: Node, *, hidden: bool) -> None:
        """The InitiateRequest, InitiateResponse or error inside; a dedicated key in it is learnt."""
        in_clear = True
        for _ in range(_MAX_LAYERS):
            try:
                value = apdu.decode(octets)
            except ProtocolError as error:
                if not hidden:
                    raise ProtocolError(f"user information: {error.message}") from None
                node.children.append(Node("user information, hidden in the transcript"))
                return
            inner = Node(value.name)
            node.children.append(inner)
            match value:
                case ServiceCiphered() | GeneralGloCiphering() | GeneralDedCiphering() | GeneralCiphering():
                    opened = self._open(value)
                    self._show_security(opened, message, inner)
                    if opened.plain is None:
                        return
                    octets, node, in_clear = opened.plain, inner, False
                case GeneralSigning():
                    octets, node = value.content, inner
                case _:
                    inner.children = apdu_nodes(value)
                    if isinstance(value, apdu.InitiateRequest) and not (hidden and in_clear):
                        self._learn_dedicated(value.dedicated_key)
                    return
        raise ProtocolError(f"more than {_MAX_LAYERS} layers around user information")

    def _learn_dedicated(self, octets: bytes | None) -> None:
        if octets is not None and len(octets) in _DEDICATED_OCTETS:
            self._dedicated = Key(octets)

    # --- services ---------------------------------------------------------------------------------------------

    def _service(self, value: Apdu, message: Message, node: Node, size: int) -> None:
        node.children += apdu_nodes(value)
        invoke_id = getattr(value, "invoke_id", 0) & _INVOKE_ID
        asked = references_of(value)
        is_list = "WithList" in type(value).__name__ or isinstance(value, apdu.AccessRequest)
        if asked:
            self._asked[invoke_id] = asked, is_list
        else:
            asked, is_list = self._asked.get(invoke_id, ((), False))
            if not is_list and asked and _is_answer(value):
                node.children.append(Node(f"answers {reference_text(asked[0])}"))
        whole: Apdu | None = value
        if isinstance(value, Block):
            whole = self._datablocks.add(value, asked, listed=is_list)
        if whole is None:
            return
        try:
            message.body = body_of(whole, asked)
        except ProtocolError as error:
            if whole is not value:
                raise ProtocolError(f"what the blocks join to is no data: {error.message}") from None
            before = size - len(last_data(value) or b"")
            raise ProtocolError(error.message).stopped_at(before % size + (error.octet or 0)) from None
        node.children += self._columns_of(message.body, asked)
        node.children += body_nodes(message.body, references_of(whole) or asked)

    def _columns_of(self, body: Body, asked: tuple[Reference, ...]) -> list[Node]:
        """The columns of the buffer that this is, where they were read before; capture objects are remembered."""
        if not isinstance(body, Datum) or len(asked) != 1 or not isinstance(asked[0], AttributeRef):
            return []
        reference = asked[0]
        if reference.class_id == _PROFILE_GENERIC and reference.attribute == _CAPTURE_OBJECTS:
            self._columns[reference.obis] = column_names(body)
        if reference.class_id != _PROFILE_GENERIC or reference.attribute != _BUFFER:
            return []
        names = self._columns.get(reference.obis)
        return [Node("columns", [Node(name) for name in names])] if names else []


def _filled(aarq: bytes) -> bytes:
    """An AARQ whose authentication value the transcript hides, tag and length included, with something in its place."""
    reader = Reader(aarq, "AARQ", 1)
    reader.length()
    while reader.left:
        tag, size = reader.uint(1), reader.length()
        value, start = reader.take(size), reader.offset - size
        if tag == _AUTHENTICATION_VALUE and not any(value):
            length = axdr.length(size - 2 if size < _LONG else size - 3)
            return aarq[:start] + b"\x80" + length + aarq[start + 1 + len(length) :]
    return aarq


def _is_answer(value: Apdu) -> bool:
    return "Response" in type(value).__name__ and not isinstance(value, apdu.ExceptionResponse)


def _reads(plain: bytes, expected: int | None) -> bool:
    """Whether a plaintext is an APDU as a whole: what a wrong key makes is none, but by a chance in many thousands."""
    if not plain or (expected is not None and plain[0] != expected):
        return False
    try:
        if plain[0] in _ACSE:
            _ACSE[plain[0]][1](plain)
            return True
        value = apdu.decode(plain)
        data = last_data(value)
        if data is not None:
            decode_typed(data)
    except ProtocolError:
        return False
    # What is carried so is never inside what is ciphered, and almost anything reads as one of these.
    return not isinstance(value, ServiceCiphered | GatewayRequest | GatewayResponse)
