"""Interface classes for data storage (Blue Book 4.3): data, registers, profiles."""

from __future__ import annotations

from profiles.classes.shapes import (
    CAPTURE_OBJECT,
    SCALER_UNIT,
    SCRIPT_REFERENCE,
    VALUE_REFERENCE,
    Array,
    Record,
    Scalar,
    Shape,
    cosem_class,
    numbered,
)

_PROFILE_GENERIC: dict[str, Shape] = {
    "buffer": Scalar.ANY,
    "capture_objects": Array(CAPTURE_OBJECT),
    "capture_period": Scalar.INTEGER,
    "sort_method": numbered("fifo", "lifo", "largest", "smallest", "nearest to zero", "farthest from zero", start=1),
    "sort_object": CAPTURE_OBJECT,
    "entries_in_use": Scalar.INTEGER,
    "profile_entries": Scalar.INTEGER,
}

CLASSES = [
    *cosem_class(1, 0, "Data", {"value": Scalar.ANY}),
    *cosem_class(3, 0, "Register", {"value": Scalar.ANY, "scaler_unit": SCALER_UNIT}, "reset"),
    *cosem_class(
        4,
        0,
        "Extended register",
        {
            "value": Scalar.ANY,
            "scaler_unit": SCALER_UNIT,
            "status": Scalar.ANY,
            "capture_time": Scalar.DATE_TIME,
        },
        "reset",
    ),
    *cosem_class(
        5,
        0,
        "Demand register",
        {
            "current_average_value": Scalar.ANY,
            "last_average_value": Scalar.ANY,
            "scaler_unit": SCALER_UNIT,
            "status": Scalar.ANY,
            "capture_time": Scalar.DATE_TIME,
            "start_time_current": Scalar.DATE_TIME,
            "period": Scalar.INTEGER,
            "number_of_periods": Scalar.INTEGER,
        },
        "reset next_period",
    ),
    *cosem_class(
        6,
        0,
        "Register activation",
        {
            "register_assignment": Array(Record({"class_id": Scalar.INTEGER, "logical_name": Scalar.LOGICAL_NAME})),
            "mask_list": Array(Record({"mask_name": Scalar.TEXT, "index_list": Array(Scalar.INTEGER)})),
            "active_mask": Scalar.TEXT,
        },
        "add_register add_mask delete_mask",
    ),
    *cosem_class(7, 0, "Profile generic", _PROFILE_GENERIC, "reset capture get_buffer_by_range get_buffer_by_index"),
    *cosem_class(7, 1, "Profile generic", _PROFILE_GENERIC, "reset capture"),
    *cosem_class(
        21,
        0,
        "Register monitor",
        {
            "thresholds": Array(Scalar.ANY),
            "monitored_value": VALUE_REFERENCE,
            "actions": Array(Record({"action_up": SCRIPT_REFERENCE, "action_down": SCRIPT_REFERENCE})),
        },
    ),
]
