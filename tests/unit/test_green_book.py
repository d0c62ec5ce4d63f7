"""The standard's own examples: protection, GMAC, Initiate, AARQ and RLRQ (Green Book, clauses 9.2 and 11)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.dlms import acse, apdu, axdr, security
from drivers.dlms.security import Key, Secret
from profiles.errors import ProtocolError

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parent / "vectors" / "green_book.json").read_text(encoding="ascii"))
}


def keys_and_title(vector: dict[str, Any]) -> tuple[Key, Key, bytes]:
    return Key.from_hex(vector["ek"]), Key.from_hex(vector["ak"]), bytes.fromhex(vector["system_title"])


@pytest.mark.parametrize("name", ["gb-get-clock-sc10", "gb-get-clock-sc20", "gb-get-clock-sc30"])
def test_a_get_request_is_protected_and_unprotected_as_in_the_green_book(name: str) -> None:
    vector = VECTORS[name]
    control, counter = int(vector["security_control"], 16), int(vector["invocation_counter"], 16)
    plain = bytes.fromhex(vector["plain"])
    header = vector["security_control"] + vector["invocation_counter"]

    protected = security.protect(control, *keys_and_title(vector), counter, plain)
    assert protected.hex() == header + vector["protected"]

    unprotected = security.unprotect(control, *keys_and_title(vector), protected, counter - 1)
    assert (unprotected.plain, unprotected.counter) == (plain, counter)
    assert unprotected.authenticated == (control != security.ENCRYPTION)


def test_the_ciphered_initiate_request_of_the_green_book_is_unprotected_and_protected_again() -> None:
    vector = VECTORS["gb-glo-initiate-request"]
    octets, expected = bytes.fromhex(vector["apdu"]), vector["expected"]

    tag, protected = security.glo_unwrap(octets)
    plain = security.unprotect(security.BOTH, *keys_and_title(vector), protected, None).plain
    assert plain.hex() == vector["plain"]
    assert tag == plain[0]

    request = apdu.decode(plain)
    assert request == apdu.InitiateRequest(
        conformance=int(expected["conformance"], 16),
        max_pdu=expected["max_pdu"],
        dedicated_key=bytes.fromhex(expected["dedicated_key"]),
        dlms_version=expected["dlms_version"],
    )
    again = security.protect(
        security.BOTH, *keys_and_title(vector), int(vector["invocation_counter"], 16), request.encode()
    )
    assert security.glo_wrap(plain, again) == octets


@pytest.mark.parametrize("name", ["gb-hls5-3", "gb-hls5-4"])
def test_a_gmac_challenge_is_answered_and_checked_as_in_the_green_book(name: str) -> None:
    vector = VECTORS[name]
    challenge, answer = bytes.fromhex(vector["challenge"]), bytes.fromhex(vector["result"])
    counter = int(vector["invocation_counter"], 16)
    assert security.gmac(security.AUTHENTICATION, *keys_and_title(vector), counter, challenge) == answer
    assert security.check_gmac(*keys_and_title(vector), challenge, answer, counter - 1) == counter


def test_the_ciphered_aarq_of_the_green_book_is_read_and_encoded() -> None:
    vector = VECTORS["gb-aarq-ciphered-lls"]
    octets, expected = bytes.fromhex(vector["apdu"]), vector["expected"]
    aarq = acse.decode_aarq(octets)
    assert aarq.ciphered
    assert aarq.mechanism == expected["mechanism"]
    assert aarq.client_title == bytes.fromhex(expected["calling_ap_title"])
    assert aarq.authentication_value == expected["password"].encode()
    assert aarq.user_information == bytes.fromhex(VECTORS["gb-glo-initiate-request"]["apdu"])
    assert octets == acse.encode_aarq(
        ciphered=True,
        mechanism=acse.LLS,
        client_title=aarq.client_title,
        authentication_value=Secret(expected["password"].encode()),
        user_information=aarq.user_information,
    )


def test_the_ciphered_rlrq_of_the_green_book_is_read_and_encoded() -> None:
    vector = VECTORS["gb-rlrq-ciphered"]
    octets = bytes.fromhex(vector["apdu"])
    release = acse.decode_rlrq(octets)
    assert release.reason == vector["expected"]["reason"]
    assert acse.encode_rlrq(release.reason, release.user_information) == octets


def test_the_general_ciphering_of_the_green_book_is_taken_apart_and_put_together() -> None:
    vector = VECTORS["gb-general-ciphering-c1e1s"]
    octets, expected = bytes.fromhex(vector["apdu"]), vector["expected"]
    ciphering = apdu.decode(octets)
    assert isinstance(ciphering, apdu.GeneralCiphering)
    assert ciphering.header.transaction_id.hex() == expected["transaction_id"]
    assert ciphering.header.originator_system_title.hex() == expected["originator"]
    assert ciphering.header.recipient_system_title.hex() == expected["recipient"]
    assert isinstance(ciphering.key_info, apdu.AgreedKey)
    assert (ciphering.key_info.parameters, len(ciphering.key_info.ciphered_data)) == (b"\x01", 128)
    assert ciphering.content[:5].hex() == expected["security_control"] + f"{expected['invocation_counter']:08x}"
    assert len(ciphering.content) == 5 + expected["ciphered_text_octets"]
    assert ciphering.encode() == octets
    for size in range(len(octets)):
        with pytest.raises(ProtocolError):
            apdu.decode(octets[:size])


def test_a_general_glo_notification_of_a_meter_is_opened_and_read() -> None:
    vector = VECTORS["u9n-general-glo-datanotification"]
    container = apdu.decode(bytes.fromhex(vector["apdu"]))
    assert isinstance(container, apdu.GeneralGloCiphering)
    keys = Key.from_hex(vector["ek"]), Key.from_hex(vector["ak"])
    plain = security.unprotect(security.BOTH, *keys, container.system_title, container.content, None).plain
    assert plain.hex() == vector["plain"]
    notification = apdu.decode(plain)
    assert isinstance(notification, apdu.DataNotification)
    assert (notification.invoke_id, notification.date_time, notification.confirmed) == (0x1DB, b"", False)
    assert axdr.decode(notification.data) == bytes.fromhex(vector["plain"])[8:]
