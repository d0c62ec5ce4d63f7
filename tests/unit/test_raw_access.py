"""From the options of a raw command to an association: what wins over what, and what does not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headend.cli.access_options import MECHANISMS, Access, Ciphering, KeyOrigin, Security
from headend.keys import ENVIRONMENT
from headend.raw_access import way_of
from profiles.errors import SettingsError
from profiles.objects import Obis

METER = "tcp://127.1.0.1:4059"
KEY = "00112233445566778899aabbccddeeff"


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TZ", "Asia/Kolkata")


def access(address: str = METER, **options: Any) -> Access:
    return Access(address=address, **options)


def test_without_options_the_public_client_asks_in_clear() -> None:
    way = way_of(access())
    kind = way.kind
    assert (kind.client_sap, kind.mechanism, kind.security_control, kind.max_pdu) == (16, 0, 0, 0xFFFF)
    assert (kind.ciphering, kind.signed, kind.pre_established, kind.invocation_counter) == ("glo", False, False, None)
    assert (way.meter_type.server_sap, way.meter_type.zone, way.range_deviation) == (1, "Asia/Kolkata", "ignore")
    assert way.meter_type.associations["public"].client_sap == 16


def test_the_command_line_wins_over_the_address_and_the_address_over_the_type() -> None:
    by_address = way_of(access(f"{METER}?client=48&server=3&timeout=20"))
    assert (by_address.kind.client_sap, by_address.address.server, by_address.address.timeout_s) == (48, 3, 20)
    both = way_of(access(f"{METER}?client=48&server=3&timeout=20", client=1, server=2, timeout=5.0))
    assert (both.kind.client_sap, both.address.server, both.address.timeout_s) == (1, 2, 5)
    by_type = way_of(access(meter_type="is15959-1ph", max_pdu=256))
    assert (by_type.kind.name, by_type.kind.mechanism, by_type.kind.security_control) == ("meter_reader", 1, 0x30)
    assert (by_type.kind.max_pdu, by_type.kind.invocation_counter) == (256, Obis(0, 0, 43, 1, 2))
    assert way_of(access(meter_type="is15959-1ph", client=48)).kind.name == "utility_setting"
    changed = way_of(access(meter_type="is15959-1ph", security=Security.ENCRYPTION, mechanism="gmac", counter=7))
    assert (changed.kind.security_control, changed.kind.mechanism, changed.counting.first) == (0x20, 5, 7)
    assert changed.kind.invocation_counter is None


@pytest.mark.parametrize("number", range(8))
def test_every_mechanism_has_a_name(number: int) -> None:
    suite = 1 if number == 7 else None
    assert way_of(access(mechanism=MECHANISMS[number], suite=suite)).kind.mechanism == number


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"security": Security.AUTHENTICATION}, {"security_control": 0x10}),
        ({"security": Security.BOTH, "suite": 2}, {"security_control": 0x32, "suite": 2}),
        ({"security": Security.BOTH, "ciphering": Ciphering.GENERAL_DED}, {"ciphering": "general-ded"}),
        (
            {
                "security": Security.BOTH,
                "suite": 1,
                "ciphering": Ciphering.GENERAL_CIPHERING,
                "key_origin": KeyOrigin.ONE_PASS,
            },
            {"ciphering": "general-ciphering", "key_origin": "one-pass", "security_control": 0x31},
        ),
        ({"signed": True, "suite": 1}, {"signed": True, "protected": True, "ciphered": False}),
        ({"pre_established": True}, {"pre_established": True}),
        (
            {"security": Security.BOTH, "counter_object": "0-0:43.1.0"},
            {"invocation_counter": Obis(0, 0, 43, 1, 0), "needs_keys": True},
        ),
    ],
)
def test_every_option_of_protection_is_in_the_association(options: dict[str, Any], expected: dict[str, Any]) -> None:
    kind = way_of(access(**options)).kind
    assert {name: getattr(kind, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ciphering": Ciphering.DED}, "--ciphering ded needs --security"),
        ({"security": Security.BOTH, "key_origin": KeyOrigin.WRAPPED}, "needs --ciphering general-ciphering"),
        ({"signed": True}, "add --suite 1"),
        ({"mechanism": "ecdsa"}, "add --suite 1"),
        ({"counter_object": "0.0.43.1.0.255"}, "counts no invocations"),
        ({"encryption_key": KEY}, "the encryption key was given, and this association needs none"),
        ({"mechanism": "lls", "secret": "x", "master_key": KEY}, "the master key was given"),
        ({"meter_type": "is15959-1ph", "client": 99}, "has no association for client 99"),
        ({"meter_type": "no-such-type"}, "no meter type"),
        ({"client_title": "00"}, "is not a system title"),
        ({"address": "ftp://127.0.0.1"}, "write it as tcp://"),
        ({"keys": Path("no/such/file.toml")}, "can't be read"),
    ],
)
def test_what_does_not_go_together_is_said_before_a_meter_is_asked(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        way_of(access(**options))
    assert told in str(refused.value)
    assert KEY not in str(refused.value)


def test_no_key_stands_in_a_repr() -> None:
    given = access(security=Security.BOTH, encryption_key=KEY, authentication_key=KEY)
    assert KEY not in repr(given)
    assert KEY not in repr(way_of(given))
