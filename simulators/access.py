"""One attribute or method of a meter, for one association: whether it may, and what comes of it.

The one rule: every refusal is a data-access-result or an action-result, and the object behind it is untouched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import ActionResult, Conformance, DataResult, SelectedAttribute
from profiles.errors import ProtocolError
from profiles.meter_type import Association
from profiles.objects import AttributeRef, MethodRef
from simulators.objects import CosemObject, is_visible, may_change
from simulators.refusals import Refused, Result

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter


@dataclass(frozen=True, slots=True)
class Access:
    """What an association, with the conformance that was agreed on, may do with the objects of a meter."""

    meter: SimulatedMeter
    kind: Association
    conformance: Conformance

    def read(self, wanted: SelectedAttribute) -> DataResult:
        """One attribute, or a part of it."""
        try:
            return DataResult(self._value(wanted))
        except Refused as refusal:
            return DataResult(None, refusal.result)

    def write(self, wanted: SelectedAttribute, value: bytes) -> int:
        """Set one attribute to an A-XDR value; a data-access-result."""
        reference = wanted.attribute
        try:
            entry = self._entry(reference)
            attribute = entry.attributes.get(reference.attribute)
            if attribute is None or attribute.write is None or not may_change(entry, self.kind):
                raise Refused(Result.READ_WRITE_DENIED)
            if wanted.selection is not None:
                raise Refused(Result.SCOPE_VIOLATED)
            attribute.write(self.meter, self.kind, value)
        except Refused as refusal:
            return refusal.result
        except ProtocolError:
            return Result.TYPE_UNMATCHED
        return Result.SUCCESS

    def invoke(self, reference: MethodRef, parameters: bytes | None) -> ActionResult:
        """Invoke one method with A-XDR parameters."""
        try:
            entry = self._entry(reference)
            method = entry.methods.get(reference.method)
            if method is None or not may_change(entry, self.kind):
                raise Refused(Result.READ_WRITE_DENIED)
            return ActionResult(Result.SUCCESS, method(self.meter, self.kind, parameters))
        except Refused as refusal:
            return ActionResult(refusal.result)
        except ProtocolError:
            return ActionResult(Result.TYPE_UNMATCHED)

    def _value(self, wanted: SelectedAttribute) -> bytes:
        reference = wanted.attribute
        entry = self._entry(reference)
        if reference.attribute == 1:
            return axdr.octet_string(bytes(reference.obis))
        attribute = entry.attributes.get(reference.attribute)
        if attribute is None or attribute.read is None:
            raise Refused(Result.READ_WRITE_DENIED)
        if wanted.selection is None:
            return attribute.read(self.meter, self.kind)
        if attribute.select is None or Conformance.SELECTIVE_ACCESS not in self.conformance:
            raise Refused(Result.SCOPE_VIOLATED)
        try:
            return attribute.select(self.meter, self.kind, apdu.decode_selection(wanted.selection))
        except ProtocolError:
            raise Refused(Result.TYPE_UNMATCHED) from None

    def _entry(self, reference: AttributeRef | MethodRef) -> CosemObject:
        entry = self.meter.objects.get(reference.obis)
        if entry is None:
            raise Refused(Result.OBJECT_UNDEFINED)
        if entry.class_id != reference.class_id:
            raise Refused(Result.CLASS_INCONSISTENT)
        if not is_visible(entry, reference.obis, self.kind):
            raise Refused(Result.READ_WRITE_DENIED)
        return entry
