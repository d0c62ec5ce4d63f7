"""What a meter sends unasked: event-notification, data-notification and its confirmation (Green Book, clause 9.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from drivers.dlms.apdu.fields import (
    Readers,
    descriptor,
    octets,
    optional,
    read_attribute,
    read_choice,
    read_date_time,
    read_last_data,
)
from drivers.dlms.axdr import OCTET_STRING, Reader
from profiles.objects import AttributeRef


@dataclass(frozen=True, slots=True)
class EventNotification:
    """An attribute and its value in A-XDR; `time` is 12 octets, empty, or absent."""

    name: ClassVar[str] = "event-notification-request"

    attribute: AttributeRef
    data: bytes
    time: bytes | None = None

    def encode(self) -> bytes:
        time = optional(None if self.time is None else octets(self.time))
        return b"\xc2" + time + descriptor(self.attribute) + self.data


@dataclass(frozen=True, slots=True)
class DataNotification:
    """The body of a push in A-XDR; `date_time` is 12 octets, or none.

    `invoke_id` is the whole long-invoke-id-and-priority, 32 bits. The standard's date-time is an OCTET STRING without
    a tag; `tagged` tells of meters that put the tag of octet-string, 09, before it.
    """

    name: ClassVar[str] = "data-notification"

    invoke_id: int
    data: bytes
    date_time: bytes = b""
    tagged: bool = False

    def encode(self) -> bytes:
        stamp = bytes([OCTET_STRING]) * self.tagged + octets(self.date_time)
        return b"\x0f" + self.invoke_id.to_bytes(4, "big") + stamp + self.data

    @property
    def confirmed(self) -> bool:
        """Whether the meter waits for a data-notification-confirm (service-class, bit 30)."""
        return bool(self.invoke_id & 0x4000_0000)


@dataclass(frozen=True, slots=True)
class DataNotificationConfirm:
    """Tells the meter that its data-notification with this `invoke_id` has arrived."""

    name: ClassVar[str] = "data-notification-confirm"

    invoke_id: int
    date_time: bytes = b""

    def encode(self) -> bytes:
        return b"\x10" + self.invoke_id.to_bytes(4, "big") + octets(self.date_time)


def _read_event(reader: Reader) -> EventNotification:
    time = read_date_time(reader) if read_choice(reader) else None
    attribute = read_attribute(reader)
    return EventNotification(attribute, read_last_data(reader), time)


def _read_data_notification(reader: Reader) -> DataNotification:
    invoke_id = reader.uint(4)
    # A date-time has 12 octets or none: a 9 here is no length.
    tagged = reader.peek() == OCTET_STRING
    reader.take(int(tagged))
    date_time = read_date_time(reader)
    return DataNotification(invoke_id, read_last_data(reader), date_time, tagged)


Notification: TypeAlias = EventNotification | DataNotification | DataNotificationConfirm

READERS: Final[Readers[Notification]] = {
    b"\x0f": (DataNotification.name, _read_data_notification),
    b"\x10": (
        DataNotificationConfirm.name,
        lambda reader: DataNotificationConfirm(reader.uint(4), read_date_time(reader)),
    ),
    b"\xc2": (EventNotification.name, _read_event),
}
