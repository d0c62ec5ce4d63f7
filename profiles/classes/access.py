"""Interface classes for access control and management (Blue Book 4.4): association, SAPs, image, push, security."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from profiles.classes.shapes import (
    CAPTURE_OBJECT,
    WINDOWS,
    Array,
    Enumeration,
    Flags,
    OneOf,
    Record,
    Scalar,
    Shape,
    cosem_class,
    nullable,
    numbered,
)
from profiles.moments import DateTime
from profiles.objects import CaptureObject, Obis


@dataclass(frozen=True, slots=True)
class ImageToActivate:
    """An image that is stored whole in the meter."""

    image_to_activate_size: int
    image_to_activate_identification: str | bytes
    image_to_activate_signature: bytes


@dataclass(frozen=True, slots=True)
class PushObject:
    """One value of a push message: an attribute, or a part of it.

    `restriction` (versions 1 and 2) limits the rows of a profile, `columns` (version 2) its columns; both as sent.
    """

    class_id: int
    logical_name: Obis
    attribute_index: int
    data_index: int
    restriction: Any = None
    columns: tuple[CaptureObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """Where pushes go. `transport_service` and `message` are enumerations with their names."""

    transport_service: Any
    destination: str | bytes
    message: Any


@dataclass(frozen=True, slots=True)
class RepetitionDelay:
    """Seconds to the n-th retry: min * (exponent / 100)^(n - 1), at most max (push setup, version 2)."""

    repetition_delay_min: int
    repetition_delay_exponent: int
    repetition_delay_max: int


@dataclass(frozen=True, slots=True)
class ConfirmationParameters:
    """From when, and how often in seconds, a push is confirmed."""

    confirmation_start_date: DateTime | None
    confirmation_interval: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """What tells a certificate from others (security setup, version 1)."""

    certificate_entity: Any
    certificate_type: Any
    serial_number: bytes
    issuer: bytes
    subject: bytes
    subject_alt_name: bytes


CONFORMANCE = (
    "reserved-zero",
    "general-protection",
    "general-block-transfer",
    "read",
    "write",
    "unconfirmed-write",
    "delta-value-encoding",
    "reserved-seven",
    "attribute0-supported-with-set",
    "priority-mgmt-supported",
    "attribute0-supported-with-get",
    "block-transfer-with-get-or-read",
    "block-transfer-with-set-or-write",
    "block-transfer-with-action",
    "multiple-references",
    "information-report",
    "data-notification",
    "access",
    "parameterized-access",
    "get",
    "set",
    "selective-access",
    "event-notification",
    "action",
)
"""The conformance block, first bit first (Green Book 9.4.6.1)."""

_ATTRIBUTE_RIGHT = Record(
    {
        "attribute_id": Scalar.INTEGER,
        "access_mode": Scalar.INTEGER,
        "access_selectors": nullable(Array(Scalar.INTEGER)),
    }
)
_METHOD_RIGHT = Record({"method_id": Scalar.INTEGER, "access_mode": OneOf((Scalar.INTEGER, Scalar.BOOLEAN))})
_OBJECT_LIST = Array(
    Record(
        {
            "class_id": Scalar.INTEGER,
            "version": Scalar.INTEGER,
            "logical_name": Scalar.LOGICAL_NAME,
            "access_rights": Record(
                {"attribute_access": Array(_ATTRIBUTE_RIGHT), "method_access": Array(_METHOD_RIGHT)}
            ),
        }
    )
)
_XDLMS_CONTEXT = Record(
    {
        "conformance": Flags(CONFORMANCE),
        "max_receive_pdu_size": Scalar.INTEGER,
        "max_send_pdu_size": Scalar.INTEGER,
        "dlms_version_number": Scalar.INTEGER,
        "quality_of_service": Scalar.INTEGER,
        "cyphering_info": Scalar.OCTETS,
    }
)
_ASSOCIATION: dict[str, Shape] = {
    "object_list": _OBJECT_LIST,
    "associated_partners_id": Record({"client_sap": Scalar.INTEGER, "server_sap": Scalar.INTEGER}),
    "application_context_name": Scalar.OBJECT_IDENTIFIER,
    "xdlms_context_info": _XDLMS_CONTEXT,
    "authentication_mechanism_name": Scalar.OBJECT_IDENTIFIER,
    "secret": Scalar.SECRET,
    "association_status": numbered("non-associated", "association-pending", "associated"),
}
_WITH_SECURITY: dict[str, Shape] = {**_ASSOCIATION, "security_setup_reference": Scalar.LOGICAL_NAME}
_USER = Record({"id": Scalar.INTEGER, "name": Scalar.TEXT})
_ASSOCIATION_METHODS = "reply_to_HLS_authentication change_HLS_secret add_object remove_object"

_OBJECT_TO_PUSH: dict[str, Shape] = {
    "class_id": Scalar.INTEGER,
    "logical_name": Scalar.LOGICAL_NAME,
    "attribute_index": Scalar.INTEGER,
    "data_index": Scalar.INTEGER,
}
# Makers do not always send the number of fields of the version that they declare, so any of the three is taken.
_RESTRICTED: dict[str, Shape] = {**_OBJECT_TO_PUSH, "restriction": Scalar.ANY}
_BY_COLUMNS: dict[str, Shape] = {**_RESTRICTED, "columns": Array(CAPTURE_OBJECT)}
_PUSH_OBJECT = OneOf(tuple(Record(fields, PushObject) for fields in (_OBJECT_TO_PUSH, _RESTRICTED, _BY_COLUMNS)))
_PROTECTION = Record(
    {
        "protection_type": numbered(
            "authentication", "encryption", "authentication and encryption", "digital signature"
        ),
        "protection_options": Record(
            {
                "transaction_id": Scalar.OCTETS,
                "originator_system_title": Scalar.OCTETS,
                "recipient_system_title": Scalar.OCTETS,
                "other_information": Scalar.OCTETS,
                "key_info": Record(
                    {
                        "key_info_type": numbered("identified key", "wrapped key", "agreed key"),
                        "key_info_options": Scalar.ANY,
                    }
                ),
            }
        ),
    }
)
_PUSH: dict[str, Shape] = {
    "push_object_list": Array(_PUSH_OBJECT),
    "send_destination_and_method": Record(
        {
            "transport_service": numbered("TCP", "UDP", "FTP", "SMTP", "SMS", "HDLC", "M-Bus", "ZigBee", "gateway"),
            "destination": Scalar.TEXT,
            "message": numbered("A-XDR encoded xDLMS APDU", "XML encoded xDLMS APDU"),
        },
        Destination,
    ),
    "communication_window": WINDOWS,
    "randomisation_start_interval": Scalar.INTEGER,
    "number_of_retries": Scalar.INTEGER,
    "repetition_delay": Scalar.INTEGER,
}
_PUSH_1: dict[str, Shape] = {
    **_PUSH,
    "port_reference": Scalar.LOGICAL_NAME,
    "push_client_SAP": Scalar.INTEGER,
    "push_protection_parameters": Array(_PROTECTION),
}
_PUSH_2: dict[str, Shape] = {
    **_PUSH_1,
    "repetition_delay": Record(
        {
            "repetition_delay_min": Scalar.INTEGER,
            "repetition_delay_exponent": Scalar.INTEGER,
            "repetition_delay_max": Scalar.INTEGER,
        },
        RepetitionDelay,
    ),
    "push_operation_method": numbered(
        "unconfirmed, retry on failure of the lower layer",
        "unconfirmed, retry on missing confirmation of the lower layer",
        "confirmed, retry on missing confirmation",
    ),
    "confirmation_parameters": Record(
        {"confirmation_start_date": Scalar.DATE_TIME, "confirmation_interval": Scalar.INTEGER},
        ConfirmationParameters,
    ),
    "last_confirmation_date_time": Scalar.DATE_TIME,
}

_SUITE = numbered(
    "AES-GCM-128",
    "AES-GCM-128, ECDSA and ECDH P-256, SHA-256",
    "AES-GCM-256, ECDSA and ECDH P-384, SHA-384",
)
_CERTIFICATE = Record(
    {
        "certificate_entity": numbered("server", "client", "certification authority", "other"),
        "certificate_type": numbered("digital signature", "key agreement", "TLS", "other"),
        "serial_number": Scalar.OCTETS,
        "issuer": Scalar.OCTETS,
        "subject": Scalar.OCTETS,
        "subject_alt_name": Scalar.OCTETS,
    },
    Certificate,
)
_SECURITY: dict[str, Shape] = {
    "security_policy": numbered("nothing", "authenticated", "encrypted", "authenticated and encrypted"),
    "security_suite": _SUITE,
    "client_system_title": Scalar.OCTETS,
    "server_system_title": Scalar.OCTETS,
}
_SECURITY_1: dict[str, Shape] = {
    **_SECURITY,
    "security_policy": Flags(
        (
            "bit 0",
            "bit 1",
            "authenticated request",
            "encrypted request",
            "digitally signed request",
            "authenticated response",
            "encrypted response",
            "digitally signed response",
        )
    ),
    "certificates": Array(_CERTIFICATE),
}
IMAGE_TRANSFER_STATUS = Enumeration(
    {
        0: "not initiated",
        1: "initiated",
        2: "verification initiated",
        3: "verification successful",
        4: "verification failed",
        5: "activation initiated",
        6: "activation successful",
        7: "activation failed",
    }
)

CLASSES = [
    *cosem_class(15, 0, "Association LN", _ASSOCIATION, _ASSOCIATION_METHODS),
    *cosem_class(15, 1, "Association LN", _WITH_SECURITY, _ASSOCIATION_METHODS),
    *cosem_class(
        15,
        (2, 3),
        "Association LN",
        {**_WITH_SECURITY, "user_list": Array(_USER), "current_user": _USER},
        f"{_ASSOCIATION_METHODS} add_user remove_user",
    ),
    *cosem_class(
        17,
        0,
        "SAP assignment",
        {"SAP_assignment_list": Array(Record({"SAP": Scalar.INTEGER, "logical_device_name": Scalar.TEXT}))},
        "connect_logical_device",
    ),
    *cosem_class(
        18,
        0,
        "Image transfer",
        {
            "image_block_size": Scalar.INTEGER,
            "image_transferred_blocks_status": Scalar.BITS,
            "image_first_not_transferred_block_number": Scalar.INTEGER,
            "image_transfer_enabled": Scalar.BOOLEAN,
            "image_transfer_status": IMAGE_TRANSFER_STATUS,
            "image_to_activate_info": Array(
                Record(
                    {
                        "image_to_activate_size": Scalar.INTEGER,
                        "image_to_activate_identification": Scalar.TEXT,
                        "image_to_activate_signature": Scalar.OCTETS,
                    },
                    ImageToActivate,
                )
            ),
        },
        "image_transfer_initiate image_block_transfer image_verify image_activate",
    ),
    *cosem_class(40, 0, "Push setup", _PUSH, "push"),
    *cosem_class(40, 1, "Push setup", _PUSH_1, "push"),
    *cosem_class(40, 2, "Push setup", _PUSH_2, "push reset"),
    *cosem_class(64, 0, "Security setup", _SECURITY, "security_activate global_key_transfer"),
    *cosem_class(
        64,
        1,
        "Security setup",
        _SECURITY_1,
        "security_activate key_transfer key_agreement generate_key_pair generate_certificate_request "
        "import_certificate export_certificate remove_certificate",
    ),
]
