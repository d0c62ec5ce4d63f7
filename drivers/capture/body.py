"""The data of a message: what a notification, request or response says about attributes and methods.

The one rule: nothing secret leaves here. What the Blue Book calls a secret is hidden by its shape; what is written to
an association or a security setup is hidden whole, as in a transcript.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final, TypeAlias

from drivers.cosem.rendering import REDACTED, datum_to_json, hide_secrets
from drivers.dlms import apdu, axdr, results
from drivers.dlms.apdu import ActionResult, Apdu, DataResult
from drivers.dlms.axdr import Datum
from drivers.links.secrets import SECRET_CLASSES
from profiles.classes import find_class
from profiles.classes.shapes import Scalar, Shape
from profiles.objects import AttributeRef, MethodRef

Reference: TypeAlias = AttributeRef | MethodRef


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result that stands where data could: its kind, its code, and what that means."""

    kind: str
    code: int
    text: str


Part: TypeAlias = Datum | Outcome
Body: TypeAlias = "Part | tuple[Part, ...] | None"
"""One datum or outcome; several, of a list; None where a message has none."""

_HIDDEN: Final = Datum(REDACTED)


def body_json(body: Body) -> Any:
    """As `decode --json` prints it."""
    match body:
        case None:
            return None
        case Datum():
            return datum_to_json(body)
        case Outcome(kind, code, text):
            return {"type": kind, "value": code, "text": text}
        case parts:
            return [body_json(part) for part in parts]


def shape_of(reference: Reference | None) -> Shape | None:
    """The shape that the Blue Book gives an attribute; None where it is not known, and for methods."""
    if not isinstance(reference, AttributeRef):
        return None
    if reference.attribute == 1:
        return Scalar.LOGICAL_NAME
    known = find_class(reference.class_id)
    entry = known.attribute(reference.attribute) if known is not None else None
    return None if entry is None else entry[1]


def body_of(value: Apdu, asked: Sequence[Reference] = ()) -> Body:
    """The data of an APDU; `asked` are the attributes or methods that a response answers, as far as they are known.

    ProtocolError where it is no A-XDR.
    """
    match value:
        case apdu.DataNotification():
            return _read(value.data)
        case apdu.EventNotification():
            return _read(value.data, value.attribute)
        case apdu.SetRequestNormal():
            return _written(value.data, value.attribute)
        case apdu.SetRequestWithList():
            written = zip(value.values, value.attributes, strict=False)
            return tuple(_written(data, selected.attribute) for data, selected in written)
        case apdu.ActionRequestNormal():
            return None if value.parameters is None else _written(value.parameters, value.method)
        case apdu.ActionRequestWithList():
            return tuple(map(_written, value.parameters, value.methods))
        case apdu.AccessRequest():
            return tuple(map(_written, value.data, map(_accessed, value.specifications)))
        case _:
            return _answered(value, asked)


def _answered(value: Apdu, asked: Sequence[Reference]) -> Body:
    first = asked[0] if asked else None
    match value:
        case apdu.GetResponseNormal():
            return _result(DataResult(value.data, value.error), first)
        case apdu.GetResponseBlock(error=int(error)):
            return _data_access(error)
        case apdu.GetResponseWithList():
            return tuple(map(_result, value.results, _each(asked)))
        case apdu.SetResponseNormal() | apdu.SetResponseLastBlock():
            return _data_access(value.result)
        case apdu.SetResponseWithList() | apdu.SetResponseLastBlockWithList():
            return tuple(map(_data_access, value.results))
        case apdu.ActionResponseNormal():
            return _returned(ActionResult(value.result, value.data, value.error), first)
        case apdu.ActionResponseWithList():
            return tuple(map(_returned, value.results, _each(asked)))
        case apdu.AccessResponse():
            known = asked if value.specifications is None else [_accessed(each) for each in value.specifications]
            outcomes = chain(value.results, repeat(None))
            return tuple(map(_accessed_part, value.data, outcomes, _each(known)))
        case _:
            return None


def _read(data: bytes, reference: Reference | None = None) -> Datum:
    return hide_secrets(axdr.decode_typed(data), shape_of(reference))


def _written(data: bytes, reference: Reference) -> Datum:
    return _HIDDEN if reference.class_id in SECRET_CLASSES else _read(data, reference)


def _result(result: DataResult, reference: Reference | None) -> Part:
    if result.data is not None:
        return _read(result.data, reference)
    return _data_access(result.error or 0)


def _returned(result: ActionResult, reference: Reference | None) -> Part:
    if result.data is not None:
        return _read(result.data, reference)
    if result.error is not None:
        return _data_access(result.error)
    return Outcome("action-result", result.result, results.action_text(result.result))


def _accessed_part(data: bytes, outcome: apdu.AccessResult | None, reference: Reference | None) -> Part:
    if outcome is None or outcome.result == 0:
        return _read(data, reference)
    if outcome.kind == apdu.access.ACTION:
        return Outcome("action-result", outcome.result, results.action_text(outcome.result))
    return _data_access(outcome.result)


def _data_access(code: int) -> Outcome:
    return Outcome("data-access-result", code, results.data_access_text(code))


def _accessed(specification: apdu.AccessSpecification) -> Reference:
    return specification.method if isinstance(specification, apdu.AccessAction) else specification.attribute


def _each(asked: Sequence[Reference]) -> Iterable[Reference | None]:
    """What is known to be asked, and nothing after it."""
    return chain(asked, repeat(None))


def references_of(value: Apdu) -> tuple[Reference, ...]:
    """What an APDU names, in its order: what a request asks for. Empty for what names nothing."""
    match value:
        case apdu.GetRequestNormal() | apdu.SetRequestNormal() | apdu.SetRequestFirstBlock():
            return (value.attribute,)
        case apdu.GetRequestWithList() | apdu.SetRequestWithList() | apdu.SetRequestWithListFirstBlock():
            return tuple(selected.attribute for selected in value.attributes)
        case apdu.ActionRequestNormal() | apdu.ActionRequestFirstBlock():
            return (value.method,)
        case apdu.ActionRequestWithList() | apdu.ActionRequestWithListFirstBlock():
            return value.methods
        case apdu.AccessRequest() | apdu.AccessResponse():
            return tuple(map(_accessed, value.specifications or ()))
        case _:
            return ()


def last_data(value: Apdu) -> bytes | None:
    """The data, in A-XDR, that ends an APDU: where it is none, the APDU is none. None where an APDU has none."""
    match value:
        case apdu.DataNotification() | apdu.EventNotification() | apdu.SetRequestNormal():
            return value.data
        case apdu.GetResponseNormal() | apdu.ActionResponseNormal():
            return value.data
        case apdu.ActionRequestNormal():
            return value.parameters
        case _:
            return None
