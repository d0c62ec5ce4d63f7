"""Values of captured objects as JSON, for jsonb columns.

The one rule: a number keeps all its digits, which `json` alone does not do for Decimal.
"""

from __future__ import annotations

import json
from decimal import Decimal

from headend.store.finished import Value, Values


def values_json(values: Values) -> str:
    """An object of JSON, the objects in the order given."""
    return "{" + ",".join(f"{json.dumps(key)}:{_json(value)}" for key, value in values.items()) + "}"


def _json(value: Value) -> str:
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else json.dumps(str(value))
    if isinstance(value, str):
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")  # jsonb has no NUL
    return json.dumps(value)
