"""A fleet of simulated meters: who they are, where they answer, what keys they hold; all of it from one seed.

The one rule: keys derived here are test keys. Whoever knows the seed knows every key of the fleet.
"""

from __future__ import annotations

import base64
import csv
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TextIO

from drivers.dlms.security import SUITES, Key, PrivateKey, Secret
from profiles.errors import SettingsError
from simulators.registers import Maker, maker_of

_FIRST_ADDRESS = IPv4Address("127.1.0.1")
_LARGEST_FLEET = int(IPv4Address("127.255.255.254")) - int(_FIRST_ADDRESS) + 1

REGISTRY_COLUMNS = (
    "name",
    "serial",
    "system_title",
    "device_id",
    "address",
    "meter_type",
    "division",
    "commissioned_at",
    "encryption_key",
    "authentication_key",
    "lls_secret",
    "hls_secret",
)
"""Columns of the meter list that the registry imports."""


@dataclass(frozen=True, slots=True)
class KeyPairs:
    """The key pairs of a meter and of its head-end in security suites 1 and 2; each knows the other's public halves."""

    signing: PrivateKey
    agreement: PrivateKey
    client_signing: PrivateKey
    client_agreement: PrivateKey


@dataclass(frozen=True, slots=True)
class Keys:
    """What a meter and its head-end share: global unicast encryption key, authentication key, LLS and HLS secrets,
    the master key, which wraps new ones, and key pairs where the suite has them."""

    encryption: Key
    authentication: Key
    lls: Secret
    hls: Secret
    master: Key
    pairs: KeyPairs | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a simulated meter is. `index` is its place in the fleet and the coordinate of its load."""

    index: int
    name: str
    serial: str
    system_title: bytes
    device_id: str
    host: str
    division: str
    commissioned_at: datetime
    maker: Maker


class Fleet:
    """`meters` identities derived from `seed`, spread over `divisions` in proportion to their figures."""

    def __init__(
        self,
        seed: int,
        meters: int,
        divisions: Mapping[str, int],
        commissioned_at: datetime,
        makers: Callable[[int], Maker] = maker_of,
    ) -> None:
        """`divisions`: name -> number of connections, any scale. `commissioned_at` (aware): first interval of all.
        `makers`: who made the meter with an index; by default they alternate."""
        if not 0 < meters <= _LARGEST_FLEET:
            raise SettingsError(f"a fleet has 1 to {_LARGEST_FLEET} meters, not {meters}")
        if not divisions or min(divisions.values()) < 0 or not any(divisions.values()):
            raise SettingsError("a fleet needs divisions with a positive number of connections")
        self.seed = seed
        self._maker_of = makers
        self.commissioned_at = commissioned_at.astimezone(UTC)
        self.divisions: Mapping[str, int] = in_proportion(meters, divisions)
        """How many meters each has."""
        self._places = [(division, number) for division, n in self.divisions.items() for number in range(1, n + 1)]

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Identity]:
        return map(self.identity, range(len(self)))

    def identity(self, index: int) -> Identity:
        """The meter with this index, 0 to len - 1."""
        division, number = self._places[index]
        maker = self._maker_of(index)
        serial = f"{maker.flag}{24_000_000 + index:08d}"
        title = maker.flag.encode() + self._secret("system title", index)[:5]
        return Identity(
            index=index,
            name=f"{_slug(division)}-{number:05d}",
            serial=serial,
            system_title=title,
            device_id=f"{maker.flag}-{serial[3:]}",
            host=str(_FIRST_ADDRESS + index),
            division=division,
            commissioned_at=self.commissioned_at,
            maker=maker,
        )

    def keys(self, index: int, suite: int = 0) -> Keys:
        """The keys of the meter with this index, as long as the security suite wants them. The LLS secret has 8
        letters, the HLS secret 16, as AES-128 wants."""
        size = SUITES[suite].key_octets
        return Keys(
            encryption=Key(self._secret("encryption", index)[:size]),
            authentication=Key(self._secret("authentication", index)[:size]),
            lls=Secret(base64.b32encode(self._secret("lls", index))[:8]),
            hls=Secret(base64.b32encode(self._secret("hls", index))[:16]),
            master=Key(self._secret("master", index)[:size]),
            pairs=self._key_pairs(index, suite) if suite else None,
        )

    def write_registry(self, stream: TextIO, *, port: int, meter_type: str, suite: int = 0) -> None:
        """The fleet as the meter list that the registry imports (CSV with REGISTRY_COLUMNS), keys and all."""
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(REGISTRY_COLUMNS)
        rows.writerows(self.registered(meter, f"tcp://{meter.host}:{port}", meter_type, suite) for meter in self)

    def registered(self, meter: Identity, address: str, meter_type: str, suite: int) -> tuple[str, ...]:
        """The row of one meter in the list that the registry imports."""
        keys = self.keys(meter.index, suite)
        return (
            meter.name,
            meter.serial,
            meter.system_title.hex().upper(),
            meter.device_id,
            address,
            meter_type,
            meter.division,
            meter.commissioned_at.isoformat(),
            *(secret.octets.hex().upper() for secret in (keys.encryption, keys.authentication)),
            *(secret.octets.decode("ascii") for secret in (keys.lls, keys.hls)),
        )

    def _key_pairs(self, index: int, suite: int) -> KeyPairs:
        digest = {1: "sha256", 2: "sha384"}[suite]  # as many octets as a private key of the suite has
        return KeyPairs(
            *(
                PrivateKey(self._secret(purpose, index, digest))
                for purpose in ("signing", "agreement", "client signing", "client agreement")
            )
        )

    def _secret(self, purpose: str, index: int, digest: str = "sha256") -> bytes:
        """Octets bound to the seed, the purpose and the meter: 32, or as many as the digest has."""
        return hmac.digest(b"simulated fleet %d" % self.seed, f"{purpose} {index}".encode(), digest)


def in_proportion(meters: int, divisions: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers of meters in proportion to the figures, by largest remainder: they add up to `meters`."""
    total = sum(divisions.values())
    exact = {name: meters * figure / total for name, figure in divisions.items()}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_remainder[: meters - sum(shares.values())]:
        shares[name] += 1
    return shares


def _slug(division: str) -> str:
    """`Ashta and Sehore` -> `ashta-and-sehore`."""
    return re.sub(r"[^a-z0-9]+", "-", division.lower()).strip("-")
