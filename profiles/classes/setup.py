"""Interface classes that set up data exchange (Blue Book 4.7 to 4.10): ports, HDLC, IP, cellular modems.

Of NB-IoT and LTE the Blue Book has one class of its own, LTE monitoring (151); the modem's own settings and state are
those of GPRS modem setup (45) and GSM diagnostic (47).
"""

from __future__ import annotations

from profiles.classes.shapes import (
    WINDOWS,
    Array,
    Enumeration,
    Record,
    Scalar,
    Shape,
    cosem_class,
    numbered,
)

BAUD_RATES = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
"""By the number that stands for them in local port setup and HDLC setup."""

_BAUD = numbered(*(str(rate) for rate in BAUD_RATES))
_LOCAL_PORT: dict[str, Shape] = {
    "default_mode": numbered("IEC 62056-21", "HDLC", "other"),
    "default_baud": _BAUD,
    "prop_baud": _BAUD,
    "response_time": numbered("20 ms", "200 ms"),
    "device_addr": Scalar.TEXT,
    "pass_p1": Scalar.SECRET,
    "pass_p2": Scalar.SECRET,
    "pass_w5": Scalar.SECRET,
}
_HDLC: dict[str, Shape] = {
    "comm_speed": _BAUD,
    "window_size_transmit": Scalar.INTEGER,
    "window_size_receive": Scalar.INTEGER,
    "max_info_field_length_transmit": Scalar.INTEGER,
    "max_info_field_length_receive": Scalar.INTEGER,
    "inter_octet_time_out": Scalar.INTEGER,
    "inactivity_time_out": Scalar.INTEGER,
    "device_address": Scalar.INTEGER,
}
_CONNECT_MODE = Enumeration(
    {
        0: "no auto dialling",
        1: "auto dialling at any time",
        2: "auto dialling in the calling window",
        3: "regular auto dialling in the calling window, alarms at any time",
        4: "SMS by mobile network",
        5: "SMS by PSTN",
        6: "email",
        101: "always connected",
        102: "connected in the calling window",
        103: "connected on demand, in the calling window",
        104: "connected on demand",
    }
)
_AUTO_CONNECT: dict[str, Shape] = {
    "mode": _CONNECT_MODE,
    "repetitions": Scalar.INTEGER,
    "repetition_delay": Scalar.INTEGER,
    "calling_window": WINDOWS,
    "destination_list": Array(Scalar.TEXT),
}
_GPRS_QUALITY = Record(
    dict.fromkeys(("precedence", "delay", "reliability", "peak_throughput", "mean_throughput"), Scalar.INTEGER)
)
_CELL: dict[str, Shape] = {
    "cell_ID": Scalar.INTEGER,
    "location_ID": Scalar.INTEGER,
    "signal_quality": Scalar.INTEGER,
    "ber": Scalar.INTEGER,
}
_CELL_1: dict[str, Shape] = {
    **_CELL,
    "mcc": Scalar.INTEGER,
    "mnc": Scalar.INTEGER,
    "channel_number": Scalar.INTEGER,
}


def _gsm_diagnostic(cell: dict[str, Shape]) -> dict[str, Shape]:
    return {
        "operator": Scalar.TEXT,
        "status": numbered("not registered", "home network", "searching", "registration denied", "unknown", "roaming"),
        "cs_attachment": numbered("inactive", "incoming call", "active"),
        "ps_status": numbered(
            "inactive", "GPRS", "EDGE", "UMTS", "HSDPA", "LTE", "CDMA", "LTE Cat M1", "LTE Cat NB1", "LTE Cat NB2"
        ),
        "cell_info": Record(cell),
        "adjacent_cells": Array(Record({"cell_ID": Scalar.INTEGER, "signal_quality": Scalar.INTEGER})),
        "capture_time": Scalar.DATE_TIME,
    }


CLASSES = [
    *cosem_class(19, (0, 1), "IEC local port setup", _LOCAL_PORT),
    *cosem_class(23, (0, 1), "IEC HDLC setup", _HDLC),
    *cosem_class(
        29,
        0,
        "PSTN auto dial",
        {**{name: _AUTO_CONNECT[name] for name in list(_AUTO_CONNECT)[:-1]}, "phone_list": Array(Scalar.TEXT)},
    ),
    *cosem_class(29, 1, "Auto connect", _AUTO_CONNECT),
    *cosem_class(29, 2, "Auto connect", _AUTO_CONNECT, "connect"),
    *cosem_class(
        41,
        0,
        "TCP-UDP setup",
        {
            "TCP-UDP_port": Scalar.INTEGER,
            "IP_reference": Scalar.LOGICAL_NAME,
            "MSS": Scalar.INTEGER,
            "nb_of_sim_conn": Scalar.INTEGER,
            "inactivity_time_out": Scalar.INTEGER,
        },
    ),
    *cosem_class(
        42,
        0,
        "IPv4 setup",
        {
            "DL_reference": Scalar.LOGICAL_NAME,
            "IP_address": Scalar.IPV4,
            "multicast_IP_address": Array(Scalar.IPV4),
            "IP_options": Array(
                Record(
                    {
                        "IP_option_type": Scalar.INTEGER,
                        "IP_option_length": Scalar.INTEGER,
                        "IP_option_data": Scalar.OCTETS,
                    }
                )
            ),
            "subnet_mask": Scalar.IPV4,
            "gateway_IP_address": Scalar.IPV4,
            "use_DHCP_flag": Scalar.BOOLEAN,
            "primary_DNS_address": Scalar.IPV4,
            "secondary_DNS_address": Scalar.IPV4,
        },
        "add_mc_IP_address delete_mc_IP_address get_nbof_mc_IP_addresses",
    ),
    *cosem_class(
        44,
        0,
        "PPP setup",
        {
            "PHY_reference": Scalar.LOGICAL_NAME,
            "LCP_options": Scalar.ANY,
            "IPCP_options": Scalar.ANY,
            "PPP_authentication": Scalar.SECRET,
        },
    ),
    *cosem_class(
        45,
        0,
        "GPRS modem setup",
        {
            "APN": Scalar.TEXT,
            "PIN_code": Scalar.SECRET,
            "quality_of_service": Record({"default": _GPRS_QUALITY, "requested": _GPRS_QUALITY}),
        },
    ),
    *cosem_class(
        46,
        0,
        "SMTP setup",
        {
            "server_port": Scalar.INTEGER,
            "user_name": Scalar.TEXT,
            "login_password": Scalar.SECRET,
            "server_address": Scalar.TEXT,
            "sender_address": Scalar.TEXT,
        },
    ),
    *cosem_class(47, 0, "GSM diagnostic", _gsm_diagnostic(_CELL)),
    *cosem_class(47, (1, 2), "GSM diagnostic", _gsm_diagnostic(_CELL_1)),
    *cosem_class(
        48,
        0,
        "IPv6 setup",
        {
            "DL_reference": Scalar.LOGICAL_NAME,
            "address_config_mode": numbered("auto-configuration", "DHCPv6", "manual", "neighbour discovery"),
            "unicast_IPv6_addresses": Array(Scalar.IPV6),
            "multicast_IPv6_addresses": Array(Scalar.IPV6),
            "gateway_IPv6_addresses": Array(Scalar.IPV6),
            "primary_DNS_address": Scalar.IPV6,
            "secondary_DNS_address": Scalar.IPV6,
            "traffic_class": Scalar.INTEGER,
            "neighbor_discovery_setup": Array(
                Record(
                    {
                        "RS_max_retry": Scalar.INTEGER,
                        "RS_retry_wait_time": Scalar.INTEGER,
                        "RA_send_period": Scalar.INTEGER,
                    }
                )
            ),
        },
        "add_IPv6_address remove_IPv6_address",
    ),
    *cosem_class(
        100,
        0,
        "NTP setup",
        {
            "activated": Scalar.BOOLEAN,
            "server_address": Scalar.TEXT,
            "server_port": Scalar.INTEGER,
            "authentication_method": numbered("no security", "shared secrets", "autokey (IFF)"),
            "authentication_keys": Scalar.SECRET,
            "client_key": Scalar.SECRET,
        },
        "synchronize add_authentication_key delete_authentication_key",
    ),
    *cosem_class(
        151,
        0,
        "LTE monitoring",
        {
            "LTE_network_parameters": Record(
                dict.fromkeys(("T3402", "T3412", "RSRQ", "RSRP", "qRxlevMin"), Scalar.INTEGER)
            )
        },
    ),
    *cosem_class(
        151,
        1,
        "LTE monitoring",
        {
            "LTE_network_parameters": Record(
                dict.fromkeys(
                    (
                        "T3402",
                        "T3412",
                        "T3412ext2",
                        "T3324",
                        "TeDRX",
                        "TPTW",
                        "qRxlevMin",
                        "qRxlevMinCE",
                        "qRxlevMinCE1",
                    ),
                    Scalar.INTEGER,
                )
            ),
            "LTE_quality_of_service": Record(
                {
                    "RSRQ": Scalar.INTEGER,
                    "RSRP": Scalar.INTEGER,
                    "SNR": Scalar.INTEGER,
                    "coverage_enhancement": numbered("level 0", "level 1", "level 2"),
                }
            ),
        },
    ),
]
