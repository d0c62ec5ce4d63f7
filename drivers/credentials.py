"""What a client needs to be let in by one association: keys, a password, its own title, and counters.

An invocation counter is spent the moment it is taken: a pair (system title, counter) that is used twice under one
key gives an eavesdropper the plaintext and a forger the authentication key (NIST SP 800-38D, 8.). So counters only
come out of a `CounterRange`, whose numbers were reserved, durably, before the first of them is seen here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.dlms.security import Key, PrivateKey, PublicKey, Secret
from profiles.errors import SecurityError

MAX_COUNTER = 0xFFFF_FFFF


@dataclass(slots=True)
class CounterRange:
    """A reserved run of invocation counters, each given out once, in rising order."""

    next: int
    end: int
    """One past the last reserved counter."""

    @property
    def left(self) -> int:
        return self.end - self.next

    def take(self) -> int:
        """The next unused counter; SecurityError when the reserved run or the 32-bit counter is used up."""
        if self.left <= 0:
            raise SecurityError("the reserved invocation counters are used up", remedy="reserve more first", retry=True)
        if self.next > MAX_COUNTER:
            raise SecurityError(
                "the invocation counter has reached its end", remedy="change the encryption key, which starts it anew"
            )
        counter, self.next = self.next, self.next + 1
        return counter


@dataclass(frozen=True, slots=True)
class Credentials:
    """One side's, for one association of one meter; a simulated meter has them too. Every secret redacts itself."""

    client_title: bytes = b""
    """Our own system title, 8 octets; empty where nothing is ciphered."""
    encryption_key: Key | None = None
    authentication_key: Key | None = None
    secret: Secret | None = None
    """LLS password or HLS secret."""
    counters: CounterRange = field(default_factory=lambda: CounterRange(0, 0))
    """Ours, for the encryption key."""
    signing_key: PrivateKey | None = None
    """Our own, for general-signing, HLS-ECDSA and the ephemeral keys of a one-pass key agreement."""
    agreement_key: PrivateKey | None = None
    """Our own static one."""
    peer_signing_key: PublicKey | None = None
    peer_agreement_key: PublicKey | None = None
    master_key: Key | None = None
    """The key encryption key, which wraps the others."""
