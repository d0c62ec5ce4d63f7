"""The COSEM objects of a simulated single-phase meter, theme by theme.

The one rule: one logical name, one object, one table; it is made once for all meters of a type. Shapes and types are
those seen on Indian meters (docs/meter-facts.md), where they were seen.
"""

from __future__ import annotations

from profiles.errors import SettingsError
from profiles.meter_type import MeterType
from profiles.objects import Obis
from simulators.model import associations, clock, identity, image_transfer, profiles, push_setup, security_setup, supply
from simulators.objects import CosemObject


def object_model(meter_type: MeterType) -> dict[Obis, CosemObject]:
    """Every object of a meter of this type; SettingsError without a block load."""
    block = meter_type.profiles.get("block_load")
    if block is None or block.scaler_obis is None or meter_type.nameplate is None:
        raise SettingsError(f"meter type {meter_type.name} lacks what a simulated meter has: nameplate, block load")
    return {
        **identity.objects(meter_type),
        **clock.objects(meter_type),
        **associations.objects(meter_type),
        **security_setup.objects(meter_type),
        **profiles.objects(block, meter_type.nameplate),
        **supply.objects(),
        **image_transfer.objects(),
        **push_setup.objects(meter_type),
    }
