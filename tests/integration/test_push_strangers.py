"""Claims of nobody registered, as many as wanted, do not crowd out the meters that are held in memory."""

from __future__ import annotations

import pytest
from pushing import town

from headend.push.meters import STRANGERS, KnownMeters
from headend.push.senders import Claim
from headend.store.database import open_pool
from profiles.errors import StoreError


async def test_strangers_crowd_out_no_meter_and_only_so_many_are_remembered(postgres_dsn: str) -> None:
    async with town(postgres_dsn, meters=2) as place:
        await place.register()
        meters = [Claim(meter.identity.system_title) for meter in place.meters]
        strangers = [Claim(b"UNK" + number.to_bytes(5, "big")) for number in range(STRANGERS + 500)]
        pool = await open_pool(place.dsn, connections=1)
        try:
            known = KnownMeters(pool, place.vault, place.types, most=2, for_s=3600, per_minute=60)
            assert all((await known.find(meters)).values())
            for at in range(0, len(strangers), 300):
                assert not any((await known.find(strangers[at : at + 300])).values())
        finally:
            await pool.close()
        held = await known.find([*meters, strangers[-1]])
        titles = [meter.pushing.title for claim in meters if (meter := held[claim])]
        assert titles == [claim.title for claim in meters]
        assert held[strangers[-1]] is None
        with pytest.raises(StoreError):
            await known.find(strangers[:1])
