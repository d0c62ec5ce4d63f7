"""Makes the seed corpus, from our vectors and our own encoders: `seeds.py` writes what stands in `corpus`.

Few and different inputs, one for each way in: the fuzzer finds the rest.
"""

from __future__ import annotations

import json
from pathlib import Path

from meter import (
    ACCEPTS,
    ACCESS,
    ACTION,
    ANSWERS,
    CLOCK,
    GET,
    GET_LIST,
    KINDS,
    METER_TITLE,
    NOTHING,
    PROTECTED,
    PROVES,
    RAW,
    SCRIPT,
    SERVICES,
    SET,
)
from script import write
from targets import BARE, FINAL, FRAME_KINDS, FROM_CLIENT, RAW_LINE, SEGMENTED, SERVER, UNNUMBERED, WRAPPED

from drivers.dlms import acse, apdu, axdr
from drivers.dlms.apdu import (
    AccessAction,
    AccessGet,
    AccessResult,
    AccessSet,
    ActionResult,
    DataResult,
    GeneralBlockTransfer,
    SelectedAttribute,
)
from drivers.dlms.wrapper import wrap
from drivers.hdlc.frames import Kind
from drivers.hdlc.parameters import Parameters
from drivers.hdlc.server import unnumbered

CORPUS = Path(__file__).with_name("corpus")
VECTORS = Path(__file__).parents[1] / "unit" / "vectors"

STAMP = bytes.fromhex("07ea010106001e00ff800000")
DATA = axdr.structure(
    axdr.octet_string(STAMP),
    axdr.array([axdr.uint32(1), axdr.uint32(2)]),
    axdr.visible_string("text"),
    axdr.bit_string("10110"),
    axdr.float32(1.5),
    axdr.int8(-1),
)
BUFFER = axdr.array(
    [
        axdr.structure(axdr.octet_string(STAMP), axdr.uint32(number), axdr.null() if number else axdr.uint16(7))
        for number in range(3)
    ]
)
NOTIFICATION = apdu.DataNotification(0x4000_0001, DATA, STAMP).encode()


def vectors(name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((VECTORS / name).read_text())
    return found


def client() -> dict[str, bytes]:
    """A good answer to each service in associations of every kind, and what else can come."""
    answers: tuple[bytes, ...] = (
        apdu.GetResponseNormal(0, DATA).encode(),
        apdu.GetResponseWithList(0, (DataResult(DATA), DataResult(error=3))).encode(),
        apdu.SetResponseNormal(0, 0).encode(),
        apdu.SetResponseWithList(0, (0, 3)).encode(),
        apdu.ActionResponseNormal(0, 0, DATA).encode(),
        apdu.ActionResponseWithList(0, (ActionResult(0, DATA), ActionResult(3))).encode(),
        apdu.AccessResponse(0xC000_0001, (DATA,) * 3, tuple(AccessResult(kind, 0) for kind in (1, 2, 3))).encode(),
    )
    release = (RAW, acse.encode_rlre())
    found = {}
    for index, kind in enumerate(KINDS):
        opening = () if kind.pre_established else (ACCEPTS, bytes(16), *(PROVES,) * (kind.mechanism > 1))
        for number in ((index * 2) % len(SERVICES), (index * 2 + 1) % len(SERVICES)):
            answer = (PROTECTED if number == ACCESS else ANSWERS, answers[number])
            found[f"{kind.name}-{number}"] = write(index, number, *opening, *answer, *release)
    kinds = {kind.name: index for index, kind in enumerate(KINDS)}
    for name, service, turns in _special():
        found[name] = write(kinds["open" if name == "gbt" else "open-glo"], service, *turns, NOTHING)
    refusal = acse.encode_aare(result=1, diagnostic=13, user_information=apdu.ConfirmedServiceError(1, 0, 6).encode())
    return found | {"refused": write(0, 0, RAW, refusal)}


def _special() -> list[tuple[str, int, tuple[int | bytes, ...]]]:
    """Name, service, and what the meter does: errors, pushes, blocks of every kind."""
    whole = apdu.encode_results((DataResult(DATA), DataResult(error=3)))
    get = [apdu.GetResponseBlock(0, number == 2, number, DATA).encode() for number in (1, 2)]
    get_list = [apdu.GetResponseBlock(0, False, 1, whole[:20]), apdu.GetResponseBlock(0, True, 2, whole[20:])]
    result = apdu.ActionResponseBlock(0, True, 1, apdu.ActionResponseNormal(0, 0, DATA).encode()[3:]).encode()
    taken = GeneralBlockTransfer(True, False, 1, 1, 0, apdu.GetResponseNormal(0xC1, DATA).encode()).encode()
    return [
        ("exception", GET, (RAW, apdu.ExceptionResponse(2, 6, 100).encode())),
        ("service-error", GET, (RAW, apdu.ConfirmedServiceError(1, 0, 6).encode())),
        ("push", GET, (PROTECTED, NOTIFICATION, RAW, NOTIFICATION, ANSWERS, apdu.GetResponseNormal(0, DATA).encode())),
        ("get-blocks", GET, (ANSWERS, get[0], ANSWERS, get[1])),
        ("get-list-blocks", GET_LIST, tuple(part for block in get_list for part in (ANSWERS, block.encode()))),
        ("set-blocks", SET, (ANSWERS, apdu.SetResponseBlock(0, 1).encode(), ANSWERS, b"\xc5\x03\x00\x00\0\0\0\x02")),
        ("action-blocks", ACTION, (ANSWERS, apdu.ActionResponseNextBlock(0, 1).encode(), ANSWERS, result)),
        ("gbt", GET, (RAW, taken)),
    ]


def push() -> dict[str, bytes]:
    samples = {sample["id"][:20]: bytes.fromhex(sample["apdu"]) for sample in vectors("han_push_samples.json")}
    found = {name: write(1, 1, 0, BARE, octets) for name, octets in samples.items()}
    found["general-glo"] = write(0, 1, 1, BARE, NOTIFICATION)
    found["wrapper"] = write(0, 0, 1, WRAPPED, NOTIFICATION, 0, WRAPPED, NOTIFICATION)
    found["hdlc"] = write(1, 1, 0, UNNUMBERED, NOTIFICATION, 1, UNNUMBERED, NOTIFICATION)
    event = apdu.EventNotification(CLOCK, DATA, STAMP).encode()
    found["event"] = write(1, 1, 0, BARE, event, 0, BARE, apdu.GatewayResponse(0, b"\x01", event).encode())
    blocks = [GeneralBlockTransfer(number == 3, False, 1, number, 0, NOTIFICATION).encode() for number in (1, 2, 3)]
    found["blocks"] = write(1, 0, *(part for block in blocks for part in (0, WRAPPED, block)))
    return found


def hdlc() -> dict[str, bytes]:
    kinds = {kind: place for place, kind in enumerate(FRAME_KINDS)}
    ua, snrm = kinds[Kind.UA] | FINAL, kinds[Kind.SNRM] | FINAL | FROM_CLIENT
    parameters = Parameters(256, 256, 3, 3).encode()
    answer = b"\xe6\xe7\x00" + apdu.GetResponseNormal(0xC1, DATA).encode()
    first = kinds[Kind.I] | SEGMENTED
    served = [(kinds[Kind.I] | FINAL | FROM_CLIENT, 0, b"\xe6\xe6\x00" + DATA)]
    heard = [(ua, 0, parameters), (kinds[Kind.RR] | FINAL, 8, b""), (first, 32, answer), (first | FINAL, 33, answer)]
    return {
        "client": write(*(part for line in heard for part in line)),
        "server": write(snrm, 0, parameters, *(part for line in served * 3 for part in line)),
        "refused": write(kinds[Kind.DM] | FINAL, 0, b""),
        "rejected": write(ua, 0, b"", kinds[Kind.FRMR] | FINAL, 0, b"\x10\x00\x01"),
        "unnumbered": write(RAW_LINE, 0, unnumbered(16, SERVER, NOTIFICATION, 40)),
    }


def capture() -> dict[str, bytes]:
    green = {each["id"]: bytes.fromhex(each["apdu"]) for each in vectors("green_book.json") if "apdu" in each}
    aarq, general = green["gb-aarq-ciphered-lls"], [octets for name, octets in green.items() if "general" in name]
    found = {f"general-{number}": b"\x01" + octets for number, octets in enumerate(general)}
    found["hex"] = b"\x00" + NOTIFICATION.hex(" ").encode()
    found["wrapper"] = b"\x00" + wrap(16, 1, aarq) + wrap(1, 16, acse.encode_aare(result=0, diagnostic=0))
    found["hdlc"] = b"\x00" + unnumbered(16, SERVER, NOTIFICATION, 40)
    line = "2026-01-31T06:15:00.000000Z > " + wrap(16, 1, aarq).hex(" ")
    found["transcript"] = b"\x00# tcp://127.0.0.1:4059 client 16 server 1\n" + line.encode() + b"\n"
    return found


def apdus() -> dict[str, bytes]:
    clock, both = (SelectedAttribute(CLOCK), SelectedAttribute(CLOCK, apdu.entry_selection(1, 2)))
    values: list[apdu.Apdu] = [
        apdu.GetRequestNormal(0xC1, CLOCK, apdu.entry_selection(1, 2)),
        apdu.GetRequestWithList(0xC1, (clock, both)),
        apdu.GetResponseWithList(0xC1, (DataResult(DATA), DataResult(error=3))),
        apdu.SetRequestWithList(0xC1, (clock, both), (DATA, DATA)),
        apdu.SetRequestFirstBlock(0xC1, CLOCK, False, 1, DATA),
        apdu.ActionRequestNormal(0xC1, SCRIPT, DATA),
        apdu.ActionResponseWithList(0xC1, (ActionResult(0, DATA), ActionResult(3))),
        apdu.AccessRequest(0xC000_0001, (AccessGet(CLOCK), AccessSet(CLOCK), AccessAction(SCRIPT)), (DATA,) * 3),
        apdu.AccessResponse(0xC000_0001, (DATA,), (AccessResult(1, 0),), (AccessGet(CLOCK),)),
        apdu.EventNotification(CLOCK, DATA, STAMP),
        apdu.InitiateRequest(0x101D, 1200, bytes(16)),
        apdu.ExceptionResponse(2, 6, 100),
        apdu.GatewayRequest(0, b"\x01", NOTIFICATION),
        apdu.GeneralBlockTransfer(True, False, 1, 1, 0, DATA),
    ]
    found = {f"{value.name}-{number}": value.encode() for number, value in enumerate(values)}
    named = {each["id"]: bytes.fromhex(each["apdu"]) for each in vectors("green_book.json") if "general" in each["id"]}
    return found | named | {"notification": NOTIFICATION}


def axdr_data() -> dict[str, bytes]:
    kinds = {
        "structure": DATA,
        "buffer": BUFFER,
        "bcd": axdr.structure(axdr.bcd(12), axdr.boolean(True), axdr.enum(1), axdr.utf8_string("ä"), axdr.uint64(1)),
        "times": axdr.structure(axdr.date_time(STAMP), axdr.date(STAMP[:5]), axdr.time(STAMP[5:9]), axdr.dont_care()),
        "deltas": axdr.array([axdr.delta_int8(-1), axdr.delta_uint16(1), axdr.delta_int32(-1)]),
        "compact": axdr.compact_array(b"\x02\x02\x12\x09", [b"\x00\x01\x02ab", b"\x00\x02\x01c"]),
        "scaler": axdr.structure(axdr.int8(-1), axdr.enum(30)),
        "columns": axdr.array(
            [axdr.structure(axdr.uint16(3), axdr.octet_string(bytes(CLOCK.obis)), axdr.int8(2), axdr.uint16(0))]
        ),
    }
    return {name: bytes([number * 5]) + data for number, (name, data) in enumerate(kinds.items())}


def acses() -> dict[str, bytes]:
    green = {each["id"]: bytes.fromhex(each["apdu"]) for each in vectors("green_book.json") if "rq-" in each["id"]}
    rejected = acse.encode_aare(result=2, diagnostic_source=acse.PROVIDER, diagnostic=2)
    accepted = acse.encode_aare(
        result=0, diagnostic=14, ciphered=True, system_title=METER_TITLE, mechanism=5, challenge=bytes(16)
    )
    return green | {"rejected": rejected, "accepted": accepted, "rlre": acse.encode_rlre()}


def blocks() -> dict[str, bytes]:
    """The other side's blocks: a whole APDU in three, an acknowledgement of ours, and silence."""
    pieces = [(bytes(range(20)), False), (bytes(range(20, 40)), False), (bytes(5), True)]
    whole = [GeneralBlockTransfer(last, not last, 3, at, 0, data).encode() for at, (data, last) in enumerate(pieces, 1)]
    taken = GeneralBlockTransfer(True, False, 2, 1, 1, b"").encode()
    return {
        "server": write(1, 0, *(part for block in whole for part in (1, block))),
        "client": write(0, 1, 1, taken, *(part for block in whole for part in (1, block)), 0),
        "gap": write(1, 0, 1, whole[0], 1, whole[2], 0, 1, whole[1]),
        "silence": write(0, 1, 0, 0, 0, 0),
    }


CORPORA = {
    "client": client,
    "push": push,
    "hdlc": hdlc,
    "capture": capture,
    "apdu": apdus,
    "axdr": axdr_data,
    "acse": acses,
    "blocks": blocks,
}


def main() -> None:
    for target, make in CORPORA.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, octets in make().items():
            (folder / name).write_bytes(octets)


if __name__ == "__main__":
    main()
