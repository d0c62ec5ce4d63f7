"""Interface classes for payment metering (Blue Book 4.6): account, credit, charge, token gateway."""

from __future__ import annotations

from profiles.classes.shapes import Array, Flags, Record, Scalar, Shape, cosem_class, numbered

_UNIT_CHARGE: Shape = Record(
    {
        "charge_per_unit_scaling": Record({"commodity_scale": Scalar.INTEGER, "price_scale": Scalar.INTEGER}),
        "commodity_reference": Record(
            {
                "class_id": Scalar.INTEGER,
                "logical_name": Scalar.LOGICAL_NAME,
                "attribute_index": Scalar.INTEGER,
            }
        ),
        "charge_table": Array(Record({"index": Scalar.OCTETS, "charge_per_unit": Scalar.INTEGER})),
    }
)

CLASSES = [
    *cosem_class(
        111,
        0,
        "Account",
        {
            "account_mode_and_status": Record(
                {
                    "account_mode": numbered("credit", "prepayment", start=1),
                    "account_status": numbered("new (inactive)", "active", "closed", start=1),
                }
            ),
            "current_credit_in_use": Scalar.INTEGER,
            "current_credit_status": Flags(
                (
                    "in credit",
                    "low credit",
                    "next credit enabled",
                    "next credit selectable",
                    "next credit selected",
                    "selectable credit in use",
                    "out of credit",
                    "bit 7",
                )
            ),
            "available_credit": Scalar.INTEGER,
            "amount_to_clear": Scalar.INTEGER,
            "clearance_threshold": Scalar.INTEGER,
            "aggregated_debt": Scalar.INTEGER,
            "credit_reference_list": Array(Scalar.LOGICAL_NAME),
            "charge_reference_list": Array(Scalar.LOGICAL_NAME),
            "credit_charge_configuration": Array(
                Record(
                    {
                        "credit_reference": Scalar.LOGICAL_NAME,
                        "charge_reference": Scalar.LOGICAL_NAME,
                        "collection_configuration": Flags(
                            (
                                "collect when supply disconnected",
                                "collect in load limiting periods",
                                "collect in friendly credit periods",
                            )
                        ),
                    }
                )
            ),
            "token_gateway_configuration": Array(
                Record({"credit_reference": Scalar.LOGICAL_NAME, "token_proportion": Scalar.INTEGER})
            ),
            "account_activation_time": Scalar.DATE_TIME,
            "account_closure_time": Scalar.DATE_TIME,
            "currency": Record(
                {
                    "currency_name": Scalar.TEXT,
                    "currency_scale": Scalar.INTEGER,
                    "currency_unit": numbered("time", "consumption", "monetary"),
                }
            ),
            "low_credit_threshold": Scalar.INTEGER,
            "next_credit_available_threshold": Scalar.INTEGER,
            "max_provision": Scalar.INTEGER,
            "max_provision_period": Scalar.INTEGER,
        },
        "activate_account close_account reset_account",
    ),
    *cosem_class(
        112,
        0,
        "Credit",
        {
            "current_credit_amount": Scalar.INTEGER,
            "credit_type": numbered(
                "token credit", "reserved credit", "emergency credit", "time based credit", "consumption based credit"
            ),
            "priority": Scalar.INTEGER,
            "warning_threshold": Scalar.INTEGER,
            "limit": Scalar.INTEGER,
            "credit_configuration": Flags(
                (
                    "requires visual indication",
                    "requires confirmation",
                    "requires the credit amount to be paid back",
                    "resettable",
                    "able to receive credit amounts from tokens",
                )
            ),
            "credit_status": numbered("enabled", "selectable", "selected", "in use", "exhausted"),
            "preset_credit_amount": Scalar.INTEGER,
            "credit_available_threshold": Scalar.INTEGER,
            "period": Scalar.DATE_TIME,
        },
        "update_amount set_amount_to_value invoke_credit",
    ),
    *cosem_class(
        113,
        0,
        "Charge",
        {
            "total_amount_paid": Scalar.INTEGER,
            "charge_type": numbered(
                "consumption based collection", "time based collection", "payment event based collection"
            ),
            "priority": Scalar.INTEGER,
            "unit_charge_active": _UNIT_CHARGE,
            "unit_charge_passive": _UNIT_CHARGE,
            "unit_charge_activation_time": Scalar.DATE_TIME,
            "period": Scalar.INTEGER,
            "charge_configuration": Flags(("percentage based collection", "continuous collection")),
            "last_collection_time": Scalar.DATE_TIME,
            "last_collection_amount": Scalar.INTEGER,
            "total_amount_remaining": Scalar.INTEGER,
            "proportion": Scalar.INTEGER,
        },
        "update_unit_charge activate_passive_unit_charge collect update_total_amount_remaining "
        "set_total_amount_remaining",
    ),
    *cosem_class(
        115,
        0,
        "Token gateway",
        {
            "token": Scalar.OCTETS,
            "token_time": Scalar.DATE_TIME,
            "token_description": Array(Scalar.TEXT),
            "token_delivery_method": numbered("remote", "local", "manual"),
            "token_status": Record(
                {
                    "status_code": numbered(
                        "format OK",
                        "authentication OK",
                        "validation OK",
                        "execution OK",
                        "format failure",
                        "authentication failure",
                        "validation failure",
                        "execution failure",
                        "received, not yet processed",
                    ),
                    "data_value": Scalar.BITS,
                }
            ),
        },
        "enter",
    ),
]
