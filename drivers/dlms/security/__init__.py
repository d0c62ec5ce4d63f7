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
    answer_challenge,
    check_answer,
    check_gmac,
    check_hls2,
    gmac,
    hls2,
)
from drivers.dlms.security.key_agreement import KeyByOnePass, KeyByStaticUnified, KeyByWrapping, KeySource, SharedKey
from drivers.dlms.security.key_wrap import KeyId, decode_key_transfer, encode_key_transfer, unwrap_key, wrap_key
from drivers.dlms.security.keys import Key, Secret
from drivers.dlms.security.protection import (
    EndToEndProtection,
    GeneralProtection,
    LayeredProtection,
    Opened,
    Parties,
    Protection,
    ServiceProtection,
    SignatureProtection,
)
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
    "EndToEndProtection",
    "GeneralProtection",
    "HlsKeys",
    "Key",
    "KeyByOnePass",
    "KeyByStaticUnified",
    "KeyByWrapping",
    "KeyId",
    "KeySource",
    "LayeredProtection",
    "Opened",
    "Parties",
    "PrivateKey",
    "Protection",
    "PublicKey",
    "Secret",
    "ServiceProtection",
    "SharedKey",
    "SignatureProtection",
    "Suite",
    "Unprotected",
    "answer_challenge",
    "check_answer",
    "check_gmac",
    "check_hls2",
    "decode_key_transfer",
    "ded_unwrap",
    "ded_wrap",
    "encode_key_transfer",
    "glo_unwrap",
    "glo_wrap",
    "gmac",
    "hls2",
    "is_ded",
    "is_glo",
    "protect",
    "unprotect",
    "unwrap_key",
    "wrap_key",
]
