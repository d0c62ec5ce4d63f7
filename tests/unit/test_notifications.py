"""Notifications as meters of three makers really sent them: their forms of date-time, their bodies, cut anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import DataNotification
from drivers.dlms.axdr import Datum
from profiles.errors import ProtocolError

_PATH = Path(__file__).parent / "vectors" / "han_push_samples.json"
SAMPLES: list[dict[str, Any]] = json.loads(_PATH.read_text(encoding="ascii"))
IDS = [sample["meter"] for sample in SAMPLES]


def plain(datum: Datum) -> list[Any]:
    """A datum as the samples write it: its type, and its value or elements."""
    value = datum.value
    if isinstance(value, tuple):
        return [datum.type, [plain(element) for element in value]]
    return [datum.type, value.hex() if isinstance(value, bytes) else value]


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_notification_from_the_field_is_decoded_with_its_types_and_encoded_again(sample: dict[str, Any]) -> None:
    octets, expected = bytes.fromhex(sample["apdu"]), sample["expected"]
    notification = apdu.decode(octets)
    assert isinstance(notification, DataNotification)
    assert f"{notification.invoke_id:08x}" == expected["long_invoke_id_and_priority"]
    assert notification.date_time.hex() == expected["date_time"]
    assert notification.tagged == (expected["date_time_form"] == "octet-string with tag 09")
    body = axdr.decode_typed(notification.data)
    assert plain(body) == expected["body"]
    assert axdr.encode_typed(body) == notification.data
    assert notification.encode() == octets


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_notification_from_the_field_cut_at_any_octet_is_refused(sample: dict[str, Any]) -> None:
    octets = bytes.fromhex(sample["apdu"])
    for size in range(len(octets)):
        with pytest.raises(ProtocolError):
            decode_whole(octets[:size])


def decode_whole(octets: bytes) -> axdr.Value:
    notification = apdu.decode(octets)
    assert isinstance(notification, DataNotification)
    return axdr.decode(notification.data)


def test_a_confirmed_notification_is_told_by_its_service_class() -> None:
    assert DataNotification(0x4000_0007, b"\x00").confirmed
    assert not DataNotification(0x8000_0007, b"\x00").confirmed
