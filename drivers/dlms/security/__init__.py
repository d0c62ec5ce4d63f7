"""Protection of APDUs and proof of identity, in security suites 0, 1 and 2 (Green Book, clause 9.2).

The primitives are those of `cryptography`; what is here is how DLMS puts them together. No key, secret or plaintext
shows itself in an error or a repr, and nothing is handed out that was not checked as the caller requires.
"""

from __future__ import annotations

from drivers.dlms.security.gcm import MAX_COUNTER, TAG_OCTETS, TITLE_OCTETS, Unprotected, protect, unprotect
from drivers.dlms.security.glo import ded_unwrap, ded_wrap, glo_unwrap, glo_wrap, is_ded, is_glo
from drivers.dlms.security.hls import (
    Challenge,
    HlsKeys,
    answer,
    check,
    check_gmac,
    check_hls2,
    gmac,
    hls2,
)
from drivers.dlms.security.keys import Key, Secret
from drivers.dlms.security.signing import PrivateKey, PublicKey
from drivers.dlms.security.suites import AUTHENTICATION, BOTH, BROADCAST, COMPRESSION, ENCRYPTION, SUITES, Suite

__all__ = [
    "AUTHENTICATION",
    "BOTH",
    "BROADCAST",
    "COMPRESSION",
    "ENCRYPTION",
    "MAX_COUNTER",
    "SUITES",
    "TAG_OCTETS",
    "TITLE_OCTETS",
    "Challenge",
    "HlsKeys",
    "Key",
    "PrivateKey",
    "PublicKey",
    "Secret",
    "Suite",
    "Unprotected",
    "answer",
    "check",
    "check_gmac",
    "check_hls2",
    "ded_unwrap",
    "ded_wrap",
    "glo_unwrap",
    "glo_wrap",
    "gmac",
    "hls2",
    "is_ded",
    "is_glo",
    "protect",
    "unprotect",
]
