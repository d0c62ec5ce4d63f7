"""`headend get` and `objects`: one attribute, or what an association shows.

The one rule: what the meter said is shown whole, with the standard's types; a name, a unit or a scaled number stands
beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from drivers.cosem.object_list import Access as Rights
from drivers.cosem.object_list import ListedObject, access_text
from drivers.cosem.objects import read_object_list
from drivers.cosem.rendering import datum_lines, datum_to_json, hide_secrets
from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from drivers.session import Session
from headend.cli.access_options import Access
from headend.raw_access import meter_of
from headend.raw_names import parse_attribute, parse_class, parse_obis
from headend.raw_printing import print_json, print_lines, print_objects
from profiles.classes import attribute_name, class_name, find_class, method_name
from profiles.classes.shapes import Scalar, Shape
from profiles.errors import AccessDenied, ProtocolError
from profiles.meter_type import Deviation
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, MethodRef, ScalerUnit
from profiles.units import unit_symbol

SCALED_BY: Final = {(3, 2): 3, (4, 2): 3, (5, 2): 4, (5, 3): 4}
"""(class id, attribute): the attribute that scales it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An attribute as the meter gave it, secrets hidden; `scaler_unit` where it was read."""

    reference: AttributeRef
    datum: Datum
    shape: Shape | None
    deviation: Deviation
    scaler_unit: ScalerUnit | None = None

    @property
    def name(self) -> str:
        """The attribute's name."""
        return name_of(self.reference)

    @property
    def scaled(self) -> Decimal | None:
        """The value in its unit; None where it is no number or has no scaler."""
        return None if self.scaler_unit is None else scaled(self.datum, self.scaler_unit)

    def lines(self) -> Iterator[str]:
        """The value as people read it."""
        first, *rest = datum_lines(self.datum, self.shape, deviation=self.deviation)
        value = self.scaled
        if value is None or self.scaler_unit is None:
            yield first
        else:
            unit = unit_symbol(self.scaler_unit.unit)
            yield f"{value:f} {unit}".rstrip() + f"  ({first}, scaler {self.scaler_unit.scaler})"
        yield from rest

    def to_json(self) -> dict[str, Any]:
        """`data` is what `headend set` takes back."""
        shown: dict[str, Any] = {"data": datum_to_json(self.datum, self.deviation)}
        value = self.scaled
        if value is not None and self.scaler_unit is not None:
            shown["scaled"] = {
                "value": json_number(value),
                "unit": unit_symbol(self.scaler_unit.unit),
                "scaler": self.scaler_unit.scaler,
            }
        return shown


def scaled(datum: Datum, scaler_unit: ScalerUnit) -> Decimal | None:
    """A number times ten to the power of the scaler; None for what is no finite number."""
    value = datum.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = Decimal(str(value))
    return number.scaleb(scaler_unit.scaler) if number.is_finite() else None


def json_number(value: Decimal) -> int | float:
    """A whole number where it is one."""
    return int(value) if value == value.to_integral_value() else float(value)


def shape_of(reference: AttributeRef) -> Shape | None:
    """The shape that the newest known version of the class gives the attribute."""
    if reference.attribute == 1:
        return Scalar.LOGICAL_NAME
    known = find_class(reference.class_id)
    entry = known.attribute(reference.attribute) if known is not None else None
    return entry[1] if entry is not None else None


async def read_attribute(session: Session, reference: AttributeRef, deviation: Deviation) -> Reading:
    """GET an attribute, and its scaler and unit if it has them and they may be read. Errors as GET."""
    shape = shape_of(reference)
    datum = hide_secrets(axdr.decode_typed(await session.get(reference)), shape)
    scaler = SCALED_BY.get((reference.class_id, reference.attribute))
    scaler_unit = None
    if scaler is not None and isinstance(datum.value, int | float):
        scaler_unit = await read_scaler_unit(session, AttributeRef(reference.class_id, reference.obis, scaler))
    return Reading(reference, datum, shape, deviation, scaler_unit)


async def read_scaler_unit(session: Session, reference: AttributeRef) -> ScalerUnit | None:
    """A scaler_unit; None where the meter does not give it."""
    try:
        value = axdr.decode(await session.get(reference))
    except AccessDenied:
        return None
    match value:
        case axdr.Structure((int(scaler), int(unit))) if -128 <= scaler <= 127:
            return ScalerUnit(scaler, unit)
        case _:
            return None


def name_of(reference: AttributeRef) -> str:
    """The attribute's name."""
    if reference.attribute == 1:
        return "logical_name"
    return attribute_name(reference.class_id, reference.attribute)


def title_of(reference: AttributeRef) -> str:
    """`3 Register · 1.0.1.8.0.255 Active energy import · 2 value`."""
    class_id, obis, attribute = reference
    code = " ".join(part for part in (str(obis), obis_name(obis)) if part)
    return f"{class_id} {class_name(class_id)} · {code} · {attribute} {name_of(reference)}"


def get_and_print(access: Access, class_text: str, obis_text: str, index_text: str) -> None:
    """Read one attribute and print it. Raises HeadEndError."""
    class_id = parse_class(class_text)
    reference = AttributeRef(class_id, parse_obis(obis_text), parse_attribute(class_id, index_text))
    with meter_of(access) as meter:

        async def read(session: Session) -> tuple[Reading, bytes]:
            reading = await read_attribute(session, reference, meter.way.meter_type.deviation)
            return reading, session.association.server_title

        reading, title = meter.run(read)
    if access.as_json:
        print_json(heading(access, reference, title) | reading.to_json())
    else:
        print_lines([title_of(reference), *reading.lines()])


def heading(access: Access, reference: AttributeRef | MethodRef, title: bytes) -> dict[str, Any]:
    """What was asked, of whom, as JSON."""
    shown: dict[str, Any] = {
        "address": access.address,
        "system_title": title.hex().upper() or None,
        "class_id": reference.class_id,
        "class_name": class_name(reference.class_id),
        "obis": str(reference.obis),
        "obis_name": obis_name(reference.obis),
    }
    if isinstance(reference, MethodRef):
        name = method_name(reference.class_id, reference.method)
        return shown | {"method": reference.method, "method_name": name}
    return shown | {"attribute": reference.attribute, "attribute_name": name_of(reference)}


# --- objects ---------------------------------------------------------------------------------------------------


def list_and_print(access: Access) -> None:
    """Print the objects that the association shows, with its rights. Raises HeadEndError."""
    with meter_of(access) as meter:
        try:
            objects = meter.run(read_object_list)
        except ProtocolError as error:
            error.remedy = "read it as it is: headend get ADDRESS association-ln 0.0.40.0.0.255 object_list"
            raise
    if access.as_json:
        print_json([_listed(one) for one in objects])
    else:
        print_objects(objects)


def _listed(one: ListedObject) -> dict[str, Any]:
    return {
        "class_id": one.class_id,
        "class_name": class_name(one.class_id),
        "version": one.version,
        "obis": str(one.obis),
        "obis_name": obis_name(one.obis),
        "attributes": [
            {
                "attribute": right.attribute,
                "name": attribute_name(one.class_id, right.attribute, one.version),
                "access": _flags(right.access),
                "selectors": list(right.selectors),
            }
            for right in one.attributes
        ],
        "methods": [
            {
                "method": right.method,
                "name": method_name(one.class_id, right.method, one.version),
                "access": _flags(right.access, method=True),
            }
            for right in one.methods
        ],
    }


def _flags(access: Rights, *, method: bool = False) -> list[str]:
    return access_text(access, method=method).split(", ") if access else []
