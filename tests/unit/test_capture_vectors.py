"""The standard's examples and recordings of meters, as `decode` explains them: names, units, types, verified or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.capture import Grade, Keys, Message, explain
from drivers.cosem.rendering import datum_to_json
from drivers.dlms import apdu, axdr
from drivers.dlms.security import Key

VECTORS = Path(__file__).parent / "vectors"
GREEN_BOOK = {one["id"]: one for one in json.loads((VECTORS / "green_book.json").read_text(encoding="ascii"))}
HAN: list[dict[str, Any]] = json.loads((VECTORS / "han_push_samples.json").read_text(encoding="ascii"))
MBUS: list[dict[str, Any]] = json.loads((VECTORS / "mbus_pushes.json").read_text(encoding="ascii"))
EK = Key.from_hex(GREEN_BOOK["gb-get-clock-sc30"]["ek"])
AK = Key.from_hex(GREEN_BOOK["gb-get-clock-sc30"]["ak"])
OTHER = Key(bytes(range(100, 116)))
TITLE = bytes.fromhex("4d4d4d0000bc614e")


def one(octets: str | bytes, keys: Keys = Keys()) -> Message:  # noqa: B008 - a frozen value
    (message,) = explain(octets.encode() if isinstance(octets, str) else octets, keys).messages
    return message


def tree(message: Message) -> list[str]:
    return [line.strip() for node in message.nodes for line in node.lines()]


def types_and_values(datum: dict[str, Any]) -> list[Any]:
    value = datum["value"]
    return [datum["type"], [types_and_values(each) for each in value] if isinstance(value, list) else value]


# --- pushes of meters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", HAN, ids=[sample["meter"] for sample in HAN])
@pytest.mark.parametrize("layer", ["hex", "apdu"])
def test_the_body_of_a_push_has_every_type_and_value(sample: dict[str, Any], layer: str) -> None:
    message = one(sample[layer])
    shown = message.as_json()
    assert set(shown) == {"apdu", "frames", "security", "body"}
    assert (shown["apdu"], shown["security"]) == ("data-notification", None)
    assert types_and_values(shown["body"]) == sample["expected"]["body"]
    assert [frame["framing"] for frame in shown["frames"]] == (["LLC"] if layer == "hex" else [])


READINGS = {
    "Aidon": [
        "1.1.0.2.129.255 OBIS list version: visible-string 'AIDON_V0001'",
        "0.0.96.1.0.255 Serial number: visible-string '7359992892587665'",
        "0.0.96.1.7.255 Device ID 7: visible-string '6525'",
        "1.0.1.7.0.255 Active power import: 280 W",
        "1.0.2.7.0.255 Active power export: 0 W",
        "1.0.3.7.0.255 Reactive power import: 0 var",
        "1.0.4.7.0.255 Reactive power export: 128 var",
        "1.0.31.7.0.255 Current L1: 1.3 A",
        "1.0.71.7.0.255 Current L3: 0.9 A",
        "1.0.32.7.0.255 Voltage L1: 227.4 V",
        "1.0.52.7.0.255 Voltage L2: 230.1 V",
        "1.0.72.7.0.255 Voltage L3: 230.8 V",
    ],
    "Kaifa": ["date-time 2019-02-04T23:52:22", "structure of 1", "double-long-unsigned 5852"],
    "Kamstrup": [
        "date-time 2022-01-17T12:44:40",
        "visible-string 'Kamstrup_V0001'",
        "1.1.0.0.5.255 Electricity ID 5: visible-string '5705705705705702'",
        "1.1.96.1.1.255 Device ID 1: visible-string '6861111BN242101040'",
        "1.1.1.7.0.255 Active power import: double-long-unsigned 1896",
        "1.1.2.7.0.255 Active power export: double-long-unsigned 0",
        "1.1.3.7.0.255 Reactive power import: double-long-unsigned 0",
        "1.1.4.7.0.255 Reactive power export: double-long-unsigned 493",
        "1.1.31.7.0.255 Current L1: double-long-unsigned 896",
        "1.1.32.7.0.255 Voltage L1: long-unsigned 225",
    ],
    "Kaifa MA309": [
        "0.0.1.0.0.255 Clock: octet-string 07e50713010f2e2300ff8880  2021-07-19T15:46:35+02:00",
        "0.0.96.1.0.255 Serial number: octet-string 314b464d30313030303030303335  1KFM0100000035",
        "1.0.32.7.0.255 Voltage L1: 230.8 V",
        "1.0.31.7.0.255 Current L1: 0.00 A",
        "1.0.1.8.0.255 Active energy import: 9108 Wh",
        "1.0.3.8.0.255 Reactive energy import: 96 varh",
    ],
}


@pytest.mark.parametrize("sample", [*HAN, MBUS[1]], ids=[*(sample["meter"] for sample in HAN), MBUS[1]["meter"]])
def test_a_push_is_shown_as_readings_with_names_and_the_units_that_it_carries(sample: dict[str, Any]) -> None:
    keys = Keys(Key.from_hex(sample["key"])) if "key" in sample else Keys()
    shown = tree(one(sample["hex"], keys))
    assert [line for line in READINGS[sample["meter"]] if line not in shown] == []


@pytest.mark.parametrize("sample", MBUS, ids=[sample["id"] for sample in MBUS])
def test_a_ciphered_push_in_mbus_segments_opens_to_the_published_plaintext(sample: dict[str, Any]) -> None:
    message = one(sample["hex"], Keys(Key.from_hex(sample["key"])))
    plain = apdu.decode(bytes.fromhex(sample["plain"]))
    assert isinstance(plain, apdu.DataNotification)
    assert message.as_json() == {
        "apdu": "data-notification",
        "frames": [
            {"framing": "M-Bus", "kind": "C 53 CI 00", "source": 1, "destination": 103, "octets": 256},
            {
                "framing": "M-Bus",
                "kind": "C 53 CI 11",
                "source": 1,
                "destination": 103,
                "octets": len(sample["hex"]) // 2 - 256,
            },
        ],
        "security": {
            "control": sample["control"],
            "system_title": sample["system_title"],
            "counter": sample["counter"],
            "verified": False,
        },
        "body": datum_to_json(axdr.decode_typed(plain.data)),
    }
    assert "not verified: no tag: nobody can tell whether it was altered" in tree(message)


@pytest.mark.parametrize("sample", MBUS, ids=[sample["id"] for sample in MBUS])
def test_a_wrong_key_is_told_as_such_and_shows_nothing(sample: dict[str, Any]) -> None:
    message = one(sample["hex"], Keys(OTHER, AK))
    assert (message.apdu, message.body) == ("general-glo-ciphering", None)
    (problem,) = message.problems
    assert problem.grade is Grade.REFUSED
    assert "wrong key" in problem.text
    assert sample["system_title"].upper() in problem.text


def test_without_a_key_the_layers_are_shown() -> None:
    message = one(MBUS[0]["hex"])
    assert message.as_json()["security"]["counter"] == 35
    assert "closed: no key is given (--key)" in tree(message)
    assert [problem.grade for problem in message.problems] == [Grade.REMARK]


def test_a_general_glo_notification_with_a_tag_is_verified_with_both_keys() -> None:
    vector = GREEN_BOOK["u9n-general-glo-datanotification"]
    message = one(vector["apdu"], Keys(Key.from_hex(vector["ek"]), Key.from_hex(vector["ak"])))
    assert message.as_json()["security"] == {
        "control": 48,
        "system_title": "2f19229199164103",
        "counter": 485,
        "verified": True,
    }
    assert message.as_json()["body"] == {"type": "octet-string", "value": vector["plain"][16:]}


# --- the standard's examples ----------------------------------------------------------------------------------


def glo_get(name: str) -> bytes:
    vector = GREEN_BOOK[name]
    content = bytes.fromhex(vector["security_control"] + vector["invocation_counter"] + vector["protected"])
    return bytes([0xC8, len(content)]) + content


@pytest.mark.parametrize(
    ("name", "keys", "verified"),
    [
        ("gb-get-clock-sc10", Keys(), False),
        ("gb-get-clock-sc10", Keys(EK, None, TITLE), False),
        ("gb-get-clock-sc10", Keys(EK, AK, TITLE), True),
        ("gb-get-clock-sc20", Keys(EK, None, TITLE), False),
        ("gb-get-clock-sc20", Keys(EK, AK, TITLE), False),
        ("gb-get-clock-sc30", Keys(EK, None, TITLE), False),
        ("gb-get-clock-sc30", Keys(EK, AK, TITLE), True),
    ],
)
def test_a_protected_get_opens_with_the_encryption_key_and_is_verified_with_both(
    name: str, keys: Keys, verified: bool
) -> None:
    message = one(glo_get(name), keys)
    assert message.apdu == "get-request-normal"
    assert message.security is not None
    assert message.security.verified is verified
    assert message.security.counter == 0x01234567
    assert "0.0.1.0.0.255 Clock · Clock · time" in tree(message)


@pytest.mark.parametrize(
    ("name", "keys", "told"),
    [
        ("gb-get-clock-sc10", Keys(EK, OTHER, TITLE), "the tag does not fit"),
        ("gb-get-clock-sc10", Keys(EK, AK), "tag not checked: that takes both keys and the sender's system title"),
        ("gb-get-clock-sc20", Keys(EK, AK, TITLE), "no tag"),
        ("gb-get-clock-sc30", Keys(EK, OTHER, TITLE), "the tag does not fit"),
        ("gb-get-clock-sc30", Keys(EK, None, TITLE), "tag not checked"),
    ],
)
def test_why_it_is_not_verified_is_said(name: str, keys: Keys, told: str) -> None:
    message = one(glo_get(name), keys)
    assert message.apdu == "get-request-normal"
    (problem,) = message.problems
    assert problem.grade is Grade.REMARK
    assert problem.text.startswith(told)


@pytest.mark.parametrize(
    ("keys", "grade", "told"),
    [
        (Keys(), Grade.REMARK, "no key is given"),
        (Keys(EK), Grade.REMARK, "system title is not in the capture"),
        (Keys(OTHER, AK, TITLE), Grade.REFUSED, "wrong key, or its sender is not 4D4D4D0000BC614E"),
        (Keys(EK, AK, bytes(8)), Grade.REFUSED, "wrong key, or its sender is not 0000000000000000"),
        (Keys(Key(bytes(32)), None, TITLE), Grade.REFUSED, "security suite 0 has keys of 16 octets, not 32"),
        (Keys(EK, Key(bytes(32)), TITLE), Grade.REFUSED, "not of one length"),
    ],
)
def test_why_it_stays_closed_is_said(keys: Keys, grade: Grade, told: str) -> None:
    message = one(glo_get("gb-get-clock-sc30"), keys)
    assert (message.apdu, message.body) == ("glo-get-request", None)
    (problem,) = message.problems
    assert problem.grade is grade
    assert told in problem.text


@pytest.mark.parametrize("place", [-1, -12, -13, 8])
def test_an_altered_apdu_is_not_verified(place: int) -> None:
    altered = bytearray(glo_get("gb-get-clock-sc30"))
    altered[place] ^= 1
    message = one(bytes(altered), Keys(EK, AK, TITLE))
    assert message.security is not None
    assert not message.security.verified
    assert message.problems


def test_compression_is_recognised() -> None:
    compressed = bytearray(glo_get("gb-get-clock-sc30"))
    compressed[2] |= 0x80
    message = one(bytes(compressed), Keys(EK, AK, TITLE))
    assert "compressed" in message.problems[0].text
    assert "security control b0: authenticated, encrypted, suite 0, compressed" in tree(message)


def test_the_initiate_request_is_explained_but_for_its_dedicated_key() -> None:
    vector = GREEN_BOOK["gb-glo-initiate-request"]
    message = one(vector["apdu"], Keys(EK, AK, TITLE))
    shown = tree(message)
    assert message.apdu == "initiateRequest"
    assert "dedicated key: 16 octets, not shown" in shown
    assert "APDUs of at most 1200 octets" in shown
    assert any(line.startswith("conformance 007e1f: priority management, ") for line in shown)
    assert_hidden(message, vector["expected"]["dedicated_key"])


def test_an_aarq_is_explained_but_for_its_password_and_dedicated_key() -> None:
    vector = GREEN_BOOK["gb-aarq-ciphered-lls"]
    message = one(vector["apdu"], Keys(EK, AK))
    shown = tree(message)
    assert message.apdu == "aarq"
    assert message.security is not None
    assert message.security.verified, "under the title that it names itself"
    for line in ("system title 4D4D4D0000BC614E", "authentication: low (password)", "password: 8 octets, not shown"):
        assert line in shown
    assert_hidden(message, GREEN_BOOK["gb-glo-initiate-request"]["expected"]["dedicated_key"])
    assert_hidden(message, vector["expected"]["password"].encode().hex())


def assert_hidden(message: Message, secret: str) -> None:
    shown = "\n".join([*tree(message), json.dumps(message.as_json()), repr(message)])
    assert secret not in shown.lower()
    assert bytes.fromhex(secret).decode("latin-1") not in shown


def test_an_rlrq_is_explained() -> None:
    message = one(GREEN_BOOK["gb-rlrq-ciphered"]["apdu"], Keys(EK, AK, TITLE))
    assert message.apdu == "rlrq"
    assert "reason 0" in tree(message)
    assert "initiateRequest" in tree(message)


def test_a_key_that_was_agreed_on_leaves_it_closed() -> None:
    vector = GREEN_BOOK["gb-general-ciphering-c1e1s"]
    message = one(vector["apdu"], Keys(EK, AK))
    assert message.apdu == "general-ciphering"
    assert message.as_json()["security"]["system_title"] == vector["expected"]["originator"]
    assert message.as_json()["security"]["control"] == 0x31
    assert message.problems[0].grade is Grade.REMARK
    assert "agreed on by key pairs" in message.problems[0].text
