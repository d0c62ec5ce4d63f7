"""Attributes of every class by name, from octets put together by hand as the Blue Book describes them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cosem.attributes import EnumValue, read_value
from drivers.cosem.plain import plain
from drivers.dlms import axdr
from drivers.dlms.axdr import (
    array,
    bit_string,
    boolean,
    enum,
    int8,
    int16,
    int32,
    null,
    octet_string,
    structure,
    uint8,
    uint16,
    uint32,
    visible_string,
)
from drivers.dlms.security import Secret
from profiles.classes import CLASSES, attribute_name, class_name, find_class, method_name
from profiles.errors import ProtocolError
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit

ANY_OBIS = Obis(0, 0, 1, 2, 3)
DATE_TIME = bytes.fromhex("07ea0103060b251eff800000")
DATE_TIME_TEXT = "2026-01-03 11:37:30"
NEVER = bytes.fromhex("ffffffffffffffffff800000")
ENERGY = bytes((1, 0, 1, 8, 0, 255))
SCRIPTS = bytes((0, 0, 10, 0, 106, 255))
CAPTURED = structure(uint16(3), octet_string(ENERGY), int8(2), uint16(0))
CAPTURED_PLAIN = {"class_id": 3, "obis": "1.0.1.8.0.255", "attribute": 2, "data_index": 0}
SCRIPT = structure(octet_string(SCRIPTS), uint16(1))
SCRIPT_PLAIN = {"script_logical_name": "0.0.10.0.106.255", "script_selector": 1}
VALUE_PLAIN = {"class_id": 3, "logical_name": "1.0.1.8.0.255", "attribute_index": 2}
WINDOW = array([structure(octet_string(DATE_TIME), octet_string(DATE_TIME))])
WINDOW_PLAIN = [{"start_time": DATE_TIME_TEXT, "end_time": DATE_TIME_TEXT}]
PUSHED = (uint16(7), octet_string(ENERGY), int8(2), uint16(0))
PUSHED_PLAIN = {"class_id": 7, "logical_name": "1.0.1.8.0.255", "attribute_index": 2, "data_index": 0}
UNIT_CHARGE = structure(
    structure(int8(-3), int8(-2)),
    structure(uint16(3), octet_string(ENERGY), int8(2)),
    array([structure(octet_string(b"\x01"), int16(650))]),
)
EMERGENCY_PLAIN = {
    "emergency_profile_id": 0,
    "emergency_activation_time": "*-*-* *:*:*",
    "emergency_duration": 0,
}
GPRS_QUALITY = structure(*map(uint8, (1, 2, 3, 4, 5)))
GPRS_PLAIN = {"precedence": 1, "delay": 2, "reliability": 3, "peak_throughput": 4, "mean_throughput": 5}
CERTIFICATE = structure(enum(0), enum(1), *(octet_string(part) for part in (b"\x01", b"CA", b"me", b"")))
SEASON = structure(octet_string(b"S1"), octet_string(DATE_TIME), octet_string(b"\x01"))
WEEK = structure(octet_string(b"\x01"), *map(uint8, (1, 1, 1, 1, 1, 2, 2)))
DAY = structure(uint8(1), array([structure(octet_string(bytes((6, 0, 0, 0))), octet_string(SCRIPTS), uint16(1))]))
SCHEDULED = structure(
    uint16(1),
    boolean(True),
    octet_string(SCRIPTS),
    uint16(2),
    octet_string(bytes((6, 30, 0xFF, 0xFF))),
    uint16(0xFFFF),
    bit_string("1111100"),
    bit_string(""),
    octet_string(bytes.fromhex("ffff0101ff")),
    octet_string(bytes.fromhex("fffffefeff")),
)

CASES: list[tuple[int, int, int, bytes, str, Any]] = [
    (1, 0, 1, octet_string(ENERGY), "logical_name", "1.0.1.8.0.255"),
    (1, 0, 2, visible_string("SMA1"), "value", "SMA1"),
    (3, 0, 2, uint32(4711), "value", 4711),
    (3, 0, 3, structure(int8(-3), enum(30)), "scaler_unit", {"scaler": -3, "unit": 30}),
    (4, 0, 4, uint8(1), "status", 1),
    (4, 0, 5, octet_string(DATE_TIME), "capture_time", DATE_TIME_TEXT),
    (4, 0, 5, axdr.date_time(DATE_TIME), "capture_time", DATE_TIME_TEXT),
    (4, 0, 5, octet_string(b""), "capture_time", None),
    (5, 0, 2, int32(-5), "current_average_value", -5),
    (5, 0, 4, structure(int8(0), enum(27)), "scaler_unit", {"scaler": 0, "unit": 27}),
    (5, 0, 7, octet_string(DATE_TIME), "start_time_current", DATE_TIME_TEXT),
    (5, 0, 9, uint16(1), "number_of_periods", 1),
    (
        6,
        0,
        2,
        array([structure(uint16(3), octet_string(ENERGY))]),
        "register_assignment",
        [{"class_id": 3, "logical_name": "1.0.1.8.0.255"}],
    ),
    (
        6,
        0,
        3,
        array([structure(octet_string(b"T1"), array([uint8(1), uint8(2)]))]),
        "mask_list",
        [{"mask_name": "T1", "index_list": [1, 2]}],
    ),
    (7, 1, 3, array([CAPTURED]), "capture_objects", [CAPTURED_PLAIN]),
    (7, 1, 4, uint32(900), "capture_period", 900),
    (7, 1, 5, enum(1), "sort_method", "fifo"),
    (7, 0, 6, CAPTURED, "sort_object", CAPTURED_PLAIN),
    (8, 0, 2, octet_string(DATE_TIME), "time", DATE_TIME_TEXT),
    (8, 0, 3, int16(-330), "time_zone", -330),
    (8, 0, 4, uint8(0x82), "status", ["doubtful value", "daylight saving active"]),
    (
        8,
        0,
        5,
        octet_string(bytes.fromhex("fffffefe07020000008000ff")),
        "daylight_savings_begin",
        "*-dst-begin-last Sun 02:00:00",
    ),
    (8, 0, 8, boolean(False), "daylight_savings_enabled", False),
    (8, 0, 9, enum(1), "clock_base", "internal crystal"),
    (
        9,
        0,
        2,
        array([structure(uint16(1), array([structure(enum(2), uint16(70), octet_string(SCRIPTS), int8(1), int8(0))]))]),
        "scripts",
        [
            {
                "script_identifier": 1,
                "actions": [
                    {
                        "service_id": "execute method",
                        "class_id": 70,
                        "logical_name": "0.0.10.0.106.255",
                        "index": 1,
                        "parameter": 0,
                    }
                ],
            }
        ],
    ),
    (
        10,
        0,
        2,
        array([SCHEDULED]),
        "entries",
        [
            {
                "index": 1,
                "enable": True,
                "script_logical_name": "0.0.10.0.106.255",
                "script_selector": 2,
                "switch_time": "06:30:*",
                "validity_window": 65535,
                "exec_weekdays": "1111100",
                "exec_specdays": "",
                "begin_date": "*-01-01",
                "end_date": "*-dst-begin-last",
            }
        ],
    ),
    (
        11,
        0,
        2,
        array([structure(uint16(1), octet_string(bytes.fromhex("ffff081aff")), uint8(3))]),
        "entries",
        [{"index": 1, "specialday_date": "*-08-26", "day_id": 3}],
    ),
    (
        15,
        1,
        3,
        structure(int8(32), uint16(1)),
        "associated_partners_id",
        {"client_sap": 32, "server_sap": 1},
    ),
    (15, 0, 4, octet_string(bytes.fromhex("60857405080101")), "application_context_name", "2.16.756.5.8.1.1"),
    (
        15,
        0,
        6,
        structure(*map(uint8, (2, 16)), uint16(756), *map(uint8, (5, 8, 2, 1))),
        "authentication_mechanism_name",
        "2.16.756.5.8.2.1",
    ),
    (
        15,
        2,
        5,
        structure(
            bit_string("000000000000000000010101"),
            uint16(1024),
            uint16(560),
            uint8(6),
            int8(0),
            octet_string(b""),
        ),
        "xdlms_context_info",
        {
            "conformance": ["get", "selective-access", "action"],
            "max_receive_pdu_size": 1024,
            "max_send_pdu_size": 560,
            "dlms_version_number": 6,
            "quality_of_service": 0,
            "cyphering_info": "",
        },
    ),
    (15, 1, 7, octet_string(b"12345678"), "secret", "redacted"),
    (15, 0, 8, enum(2), "association_status", "associated"),
    (15, 1, 9, octet_string(bytes((0, 0, 43, 0, 2, 255))), "security_setup_reference", "0.0.43.0.2.255"),
    (15, 3, 10, array([structure(uint8(1), visible_string("reader"))]), "user_list", [{"id": 1, "name": "reader"}]),
    (
        17,
        0,
        2,
        array([structure(uint16(1), octet_string(b"SMA24000000"))]),
        "SAP_assignment_list",
        [{"SAP": 1, "logical_device_name": "SMA24000000"}],
    ),
    (18, 0, 3, bit_string("11100"), "image_transferred_blocks_status", "11100"),
    (18, 0, 6, enum(3), "image_transfer_status", "verification successful"),
    (
        18,
        0,
        7,
        array([structure(uint32(65536), octet_string(b"V2.1"), octet_string(b"\xaa\xbb"))]),
        "image_to_activate_info",
        [
            {
                "image_to_activate_size": 65536,
                "image_to_activate_identification": "V2.1",
                "image_to_activate_signature": "aabb",
            }
        ],
    ),
    (19, 1, 2, enum(0), "default_mode", "IEC 62056-21"),
    (19, 0, 4, enum(5), "prop_baud", "9600"),
    (19, 1, 7, octet_string(b"password"), "pass_p1", "redacted"),
    (20, 0, 2, octet_string(b"Summer"), "calendar_name_active", "Summer"),
    (
        20,
        0,
        3,
        array([SEASON]),
        "season_profile_active",
        [{"season_profile_name": "S1", "season_start": DATE_TIME_TEXT, "week_name": "01"}],
    ),
    (
        20,
        0,
        8,
        array([WEEK]),
        "week_profile_table_passive",
        [
            {
                "week_profile_name": "01",
                "monday": 1,
                "tuesday": 1,
                "wednesday": 1,
                "thursday": 1,
                "friday": 1,
                "saturday": 2,
                "sunday": 2,
            }
        ],
    ),
    (
        20,
        0,
        9,
        array([DAY]),
        "day_profile_table_passive",
        [
            {
                "day_id": 1,
                "day_schedule": [
                    {"start_time": "06:00:00", "script_logical_name": "0.0.10.0.106.255", "script_selector": 1}
                ],
            }
        ],
    ),
    (20, 0, 10, octet_string(NEVER), "activate_passive_calendar_time", "*-*-* *:*:*"),
    (21, 0, 3, structure(uint16(3), octet_string(ENERGY), int8(2)), "monitored_value", VALUE_PLAIN),
    (22, 0, 2, SCRIPT, "executed_script", SCRIPT_PLAIN),
    (22, 0, 3, enum(1), "type", "one time, date with wildcards"),
    (
        22,
        0,
        4,
        array([structure(octet_string(bytes(4)), octet_string(bytes.fromhex("ffffff01ff")))]),
        "execution_time",
        [{"time": "00:00:00", "date": "*-*-01"}],
    ),
    (23, 1, 2, enum(5), "comm_speed", "9600"),
    (23, 0, 5, uint16(128), "max_info_field_length_transmit", 128),
    (29, 2, 2, enum(101), "mode", "always connected"),
    (29, 1, 5, WINDOW, "calling_window", WINDOW_PLAIN),
    (29, 1, 6, array([octet_string(b"10.0.0.1:4059")]), "destination_list", ["10.0.0.1:4059"]),
    (29, 0, 6, array([octet_string(b"0049123")]), "phone_list", ["0049123"]),
    (40, 0, 2, array([structure(*PUSHED)]), "push_object_list", [PUSHED_PLAIN | {"restriction": None, "columns": []}]),
    (
        40,
        1,
        2,
        array([structure(*PUSHED, structure(enum(0), null()))]),
        "push_object_list",
        [PUSHED_PLAIN | {"restriction": [0, None], "columns": []}],
    ),
    (
        40,
        2,
        2,
        array([structure(*PUSHED, structure(enum(0), null()), array([CAPTURED]))]),
        "push_object_list",
        [PUSHED_PLAIN | {"restriction": [0, None], "columns": [CAPTURED_PLAIN]}],
    ),
    (
        40,
        0,
        3,
        structure(enum(0), octet_string(b"[2001:db8::1]:4059"), enum(0)),
        "send_destination_and_method",
        {
            "transport_service": "TCP",
            "destination": "[2001:db8::1]:4059",
            "message": "A-XDR encoded xDLMS APDU",
        },
    ),
    (40, 1, 4, WINDOW, "communication_window", WINDOW_PLAIN),
    (40, 1, 7, uint16(60), "repetition_delay", 60),
    (
        40,
        2,
        7,
        structure(uint16(10), uint16(200), uint16(300)),
        "repetition_delay",
        {"repetition_delay_min": 10, "repetition_delay_exponent": 200, "repetition_delay_max": 300},
    ),
    (40, 1, 9, int8(64), "push_client_SAP", 64),
    (40, 2, 11, enum(2), "push_operation_method", "confirmed, retry on missing confirmation"),
    (
        40,
        2,
        12,
        structure(octet_string(DATE_TIME), uint32(3600)),
        "confirmation_parameters",
        {"confirmation_start_date": DATE_TIME_TEXT, "confirmation_interval": 3600},
    ),
    (41, 0, 2, uint16(4059), "TCP-UDP_port", 4059),
    (42, 0, 3, uint32(0x0A000001), "IP_address", "10.0.0.1"),
    (42, 0, 3, octet_string(bytes((10, 0, 0, 1))), "IP_address", "10.0.0.1"),
    (42, 0, 8, boolean(True), "use_DHCP_flag", True),
    (44, 0, 5, structure(octet_string(b"user"), octet_string(b"pass")), "PPP_authentication", "redacted"),
    (45, 0, 2, octet_string(b"internet"), "APN", "internet"),
    (45, 0, 3, uint16(1234), "PIN_code", "redacted"),
    (
        45,
        0,
        4,
        structure(GPRS_QUALITY, GPRS_QUALITY),
        "quality_of_service",
        {"default": GPRS_PLAIN, "requested": GPRS_PLAIN},
    ),
    (46, 0, 4, octet_string(b"pass"), "login_password", "redacted"),
    (47, 0, 2, visible_string("Airtel"), "operator", "Airtel"),
    (47, 1, 3, enum(1), "status", "home network"),
    (47, 2, 5, enum(8), "ps_status", "LTE Cat NB1"),
    (
        47,
        0,
        6,
        structure(uint16(1), uint16(2), uint8(20), uint8(0)),
        "cell_info",
        {"cell_ID": 1, "location_ID": 2, "signal_quality": 20, "ber": 0},
    ),
    (
        47,
        1,
        6,
        structure(uint32(1), uint16(2), uint8(20), uint8(0), uint16(404), uint16(10), uint32(1300)),
        "cell_info",
        {"cell_ID": 1, "location_ID": 2, "signal_quality": 20, "ber": 0, "mcc": 404, "mnc": 10, "channel_number": 1300},
    ),
    (48, 0, 3, enum(1), "address_config_mode", "DHCPv6"),
    (48, 0, 4, array([octet_string(bytes(15) + b"\x01")]), "unicast_IPv6_addresses", ["::1"]),
    (48, 0, 7, octet_string(b""), "primary_DNS_address", None),
    (64, 0, 2, enum(3), "security_policy", "authenticated and encrypted"),
    (64, 1, 2, enum(0x24), "security_policy", ["authenticated request", "authenticated response"]),
    (64, 0, 3, enum(0), "security_suite", "AES-GCM-128"),
    (64, 1, 5, octet_string(b"SMA\x00\x00\x00\x00\x01"), "server_system_title", "534d410000000001"),
    (
        64,
        1,
        6,
        array([CERTIFICATE]),
        "certificates",
        [
            {
                "certificate_entity": "server",
                "certificate_type": "key agreement",
                "serial_number": "01",
                "issuer": "4341",
                "subject": "6d65",
                "subject_alt_name": "",
            }
        ],
    ),
    (70, 0, 2, boolean(True), "output_state", True),
    (70, 0, 3, enum(2), "control_state", "ready for reconnection"),
    (70, 0, 4, enum(4), "control_mode", "disconnect remote, local; reconnect remote, manual"),
    (71, 0, 3, uint32(5000), "threshold_active", 5000),
    (71, 0, 8, structure(uint16(0), octet_string(NEVER), uint32(0)), "emergency_profile", EMERGENCY_PLAIN),
    (71, 0, 9, array([uint16(7)]), "emergency_profile_group_id_list", [7]),
    (
        71,
        0,
        11,
        structure(SCRIPT, SCRIPT),
        "actions",
        {"action_over_threshold": SCRIPT_PLAIN, "action_under_threshold": SCRIPT_PLAIN},
    ),
    (100, 0, 6, array([structure(uint32(1), octet_string(b"key"))]), "authentication_keys", "redacted"),
    (
        111,
        0,
        2,
        structure(enum(2), enum(2)),
        "account_mode_and_status",
        {"account_mode": "prepayment", "account_status": "active"},
    ),
    (111, 0, 4, bit_string("11000000"), "current_credit_status", ["in credit", "low credit"]),
    (111, 0, 9, array([octet_string(bytes((0, 0, 19, 10, 0, 255)))]), "credit_reference_list", ["0.0.19.10.0.255"]),
    (
        111,
        0,
        15,
        structure(axdr.utf8_string("INR"), int8(-2), enum(2)),
        "currency",
        {"currency_name": "INR", "currency_scale": -2, "currency_unit": "monetary"},
    ),
    (112, 0, 3, enum(2), "credit_type", "emergency credit"),
    (
        112,
        0,
        7,
        bit_string("00011"),
        "credit_configuration",
        ["resettable", "able to receive credit amounts from tokens"],
    ),
    (112, 0, 8, enum(3), "credit_status", "in use"),
    (
        113,
        0,
        5,
        UNIT_CHARGE,
        "unit_charge_active",
        {
            "charge_per_unit_scaling": {"commodity_scale": -3, "price_scale": -2},
            "commodity_reference": {"class_id": 3, "logical_name": "1.0.1.8.0.255", "attribute_index": 2},
            "charge_table": [{"index": "01", "charge_per_unit": 650}],
        },
    ),
    (115, 0, 5, enum(0), "token_delivery_method", "remote"),
    (
        115,
        0,
        6,
        structure(enum(3), bit_string("0000")),
        "token_status",
        {"status_code": "execution OK", "data_value": "0000"},
    ),
    (
        151,
        0,
        2,
        structure(uint16(12), uint16(54), uint8(20), uint8(40), int8(-60)),
        "LTE_network_parameters",
        {"T3402": 12, "T3412": 54, "RSRQ": 20, "RSRP": 40, "qRxlevMin": -60},
    ),
    (
        151,
        1,
        3,
        structure(int8(-10), int8(-90), int8(12), enum(1)),
        "LTE_quality_of_service",
        {"RSRQ": -10, "RSRP": -90, "SNR": 12, "coverage_enhancement": "level 1"},
    ),
]


@pytest.mark.parametrize(
    ("class_id", "version", "attribute", "octets", "name", "expected"),
    CASES,
    ids=[f"{case[0]}v{case[1]}/{case[2]} {case[4]}" for case in CASES],
)
def test_an_attribute_is_read_by_name(
    class_id: int, version: int, attribute: int, octets: bytes, name: str, expected: Any
) -> None:
    read = read_value(AttributeRef(class_id, ANY_OBIS, attribute), octets, version)
    assert (read.name, read.as_declared, plain(read.value)) == (name, True, expected)
    assert attribute_name(class_id, attribute, version) == name


def test_every_class_and_version_has_its_case() -> None:
    assert {(case[0], case[1]) for case in CASES} == set(CLASSES)


# --- what does not fit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_id", "version", "attribute"),
    [(8192, 0, 2), (8192, None, 2), (7, 9, 4), (7, 1, 20), (7, None, -1), (3, 0, 0)],
)
def test_what_is_not_known_is_read_raw(class_id: int, version: int | None, attribute: int) -> None:
    read = read_value(AttributeRef(class_id, ANY_OBIS, attribute), structure(uint8(1), octet_string(b"\x02")), version)
    assert (read.name, read.as_declared) == (f"attribute {attribute}", False)
    assert read.value == axdr.Structure((1, b"\x02"))
    assert plain(read.value) == [1, "02"]


@pytest.mark.parametrize(
    ("class_id", "attribute", "octets"),
    [
        (7, 3, uint8(1)),
        (7, 3, array([structure(uint16(3), octet_string(ENERGY), int8(2))])),
        (7, 4, octet_string(b"\x01")),
        (8, 2, octet_string(DATE_TIME[:-1])),
        (8, 2, uint32(1)),
        (8, 4, int8(-1)),
        (8, 8, uint8(2)),
        (15, 4, octet_string(b"\x60\x85")),
        (18, 3, octet_string(b"\x01")),
        (40, 8, octet_string(ENERGY[:5])),
        (42, 3, octet_string(b"\x01\x02")),
        (42, 3, int32(-1)),
        (48, 7, octet_string(b"\x01")),
    ],
)
def test_a_value_of_another_shape_is_read_raw_under_its_name(class_id: int, attribute: int, octets: bytes) -> None:
    read = read_value(AttributeRef(class_id, ANY_OBIS, attribute), octets)
    assert (read.name, read.as_declared) == (attribute_name(class_id, attribute), False)
    assert read.value == axdr.decode(octets)


def test_null_data_is_no_value() -> None:
    read = read_value(AttributeRef(7, ANY_OBIS, 6), null(), 1)
    assert (read.name, read.value, read.as_declared) == ("sort_object", None, True)


def test_a_number_without_a_name_stays_a_number() -> None:
    read = read_value(AttributeRef(70, ANY_OBIS, 4), enum(77), 0)
    assert read.value == EnumValue(77, "")
    assert plain(read.value) == 77
    assert (str(read.value), str(EnumValue(1, "connected"))) == ("77", "connected (1)")


def test_octets_that_are_no_axdr_are_refused() -> None:
    with pytest.raises(ProtocolError):
        read_value(AttributeRef(3, ANY_OBIS, 2), b"\x06\x00", 0)


@pytest.mark.parametrize("version", [0, 1, 9, None])
@pytest.mark.parametrize(
    "octets", [octet_string(b"Hunter22"), structure(octet_string(b"Hunter22")), visible_string("Hunter22")]
)
def test_a_secret_shows_itself_in_no_form_and_no_version(version: int | None, octets: bytes) -> None:
    read = read_value(AttributeRef(15, ANY_OBIS, 7), octets, version)
    assert isinstance(read.value, Secret)
    assert "Hunter22" not in f"{read!r} {plain(read.value)}"


def test_typed_values_are_the_products_own() -> None:
    columns = read_value(AttributeRef(7, ANY_OBIS, 3), array([CAPTURED]), 1)
    assert columns.value == (CaptureObject(3, Obis.of(ENERGY), 2),)
    scaler = read_value(AttributeRef(3, ANY_OBIS, 3), structure(int8(-3), enum(30)), 0)
    assert scaler.value == ScalerUnit(-3, 30)


# --- names ----------------------------------------------------------------------------------------------------


def test_without_a_version_the_newest_counts() -> None:
    newest = find_class(15)
    assert newest is not None
    assert newest.version == 3
    assert attribute_name(15, 11) == "current_user"
    assert attribute_name(15, 11, 0) == "attribute 11"


def test_methods_have_names() -> None:
    assert method_name(70, 1, 0) == "remote_disconnect"
    assert method_name(64, 2, 0) == "global_key_transfer"
    assert method_name(64, 2, 1) == "key_transfer"
    assert method_name(40, 2, 0) == "method 2"
    assert method_name(40, 2, 2) == "reset"
    assert method_name(8192, 5) == "method 5"


def test_classes_have_names() -> None:
    assert (class_name(7), class_name(62), class_name(8192)) == ("Profile generic", "Compact data", "class 8192")


# --- garbage --------------------------------------------------------------------------------------------------

_SCALARS = st.one_of(
    st.builds(uint8, st.integers(0, 255)),
    st.builds(int16, st.integers(-300, 300)),
    st.builds(enum, st.integers(0, 255)),
    st.builds(octet_string, st.binary(max_size=17)),
    st.builds(visible_string, st.text("ab1", max_size=4)),
    st.builds(bit_string, st.text("01", max_size=9)),
    st.builds(boolean, st.booleans()),
    st.just(null()),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.builds(array, st.lists(inner, max_size=3)),
        st.builds(lambda parts: structure(*parts), st.lists(inner, max_size=6)),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(CLASSES)), st.integers(-1, 20), _VALUES)
def test_any_value_in_any_attribute_is_read_and_shown(key: tuple[int, int], attribute: int, octets: bytes) -> None:
    read = read_value(AttributeRef(key[0], ANY_OBIS, attribute), octets, key[1])
    plain(read.value)
    assert read.as_declared or isinstance(read.value, Secret) or read.value == axdr.decode(octets)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(CLASSES)), st.integers(1, 20), st.binary(max_size=60))
def test_any_octets_end_in_a_value_or_a_protocol_error(key: tuple[int, int], attribute: int, octets: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        plain(read_value(AttributeRef(key[0], ANY_OBIS, attribute), octets, key[1]).value)
