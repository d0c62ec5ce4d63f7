"""Times another project's decoder on one profile buffer: `decode_peer.py gurux|pydlms < BUFFER` prints seconds a run.

A program of its own: those packages are GPL and never share a process with ours.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

REGISTERS = (
    "1.0.12.27.0.255",
    "1.0.11.27.0.255",
    "1.0.1.29.0.255",
    "1.0.9.29.0.255",
    "1.0.2.29.0.255",
    "1.0.10.29.0.255",
)


def gurux(buffer: bytes) -> Callable[[], int]:
    from gurux_dlms import GXByteBuffer, GXDLMSClient
    from gurux_dlms.internal._GXCommon import _GXCommon
    from gurux_dlms.internal._GXDataInfo import _GXDataInfo
    from gurux_dlms.objects import GXDLMSClock, GXDLMSProfileGeneric, GXDLMSRegister

    client = GXDLMSClient(True)
    profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
    profile.addCaptureObject(GXDLMSClock("0.0.1.0.0.255"), 2, 0)
    for name in REGISTERS:
        profile.addCaptureObject(GXDLMSRegister(name), 2, 0)

    def run() -> int:
        profile.buffer = []
        value = _GXCommon.getData(client.settings, GXByteBuffer(buffer), _GXDataInfo())
        client.updateValue(profile, 2, value)
        return len(profile.buffer)

    return run


def pydlms(buffer: bytes) -> Callable[[], int]:
    from pydlms.cosem.data import decode_data
    from pydlms.cosem.profile import typed_rows
    from pydlms.obis import ObisCode

    columns = [(8, ObisCode.parse("0.0.1.0.0.255"), 2, 0)]
    columns += [(3, ObisCode.parse(name), 2, 0) for name in REGISTERS]

    def run() -> int:
        array, _ = decode_data(buffer)
        return len(typed_rows(columns, [row.value for row in array.value]))

    return run


def main() -> None:
    buffer = sys.stdin.buffer.read()
    run = {"gurux": gurux, "pydlms": pydlms}[sys.argv[1]](buffer)
    rows = run()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert run() == rows
        seconds.append(time.perf_counter() - start)
    print(rows, min(seconds))


if __name__ == "__main__":
    main()
