"""What it costs to protect and to unprotect an APDU of 1 KiB, beside the library's own cipher with a 12-octet tag.

The library's is the straightforward way: AES, GCM and a cipher made for every APDU, nothing checked but the tag.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from drivers.dlms import security
from drivers.dlms.security import Key

EK, AK, TITLE, PLAIN = Key(bytes(range(16))), Key(bytes(range(16, 32))), b"MDMTITLE", bytes(1024)
IV, ASSOCIATED = TITLE + (7).to_bytes(4, "big"), b"\x30" + AK.octets
PROTECTED = security.protect(0x30, EK, AK, TITLE, 7, PLAIN)
ROUNDS, TIMES = 30, 500


def ours() -> None:
    security.protect(0x30, EK, AK, TITLE, 7, PLAIN)
    assert security.unprotect(0x30, EK, AK, TITLE, PROTECTED, 6).plain == PLAIN


def the_library() -> None:
    sender = Cipher(algorithms.AES(EK.octets), modes.GCM(IV)).encryptor()
    sender.authenticate_additional_data(ASSOCIATED)
    sender.update(PLAIN)
    sender.finalize()
    mode = modes.GCM(IV, PROTECTED[-12:], min_tag_length=12)
    receiver = Cipher(algorithms.AES(EK.octets), mode).decryptor()
    receiver.authenticate_additional_data(ASSOCIATED)
    assert receiver.update(PROTECTED[5:-12]) == PLAIN
    receiver.finalize()


def microseconds(function: Callable[[], None]) -> float:
    """CPU time of one call, the best of many rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(TIMES):
            function()
        best = min(best, time.process_time() - start)
    return best / TIMES * 1e6


def test_protecting_and_unprotecting_a_kilobyte_costs_less_than_the_librarys_own_cipher() -> None:
    mine, plain = microseconds(ours), microseconds(the_library)
    print(f"\nprotect and unprotect 1 KiB: {mine:.1f} µs, the library's cipher alone {plain:.1f} µs")
    assert mine < plain
