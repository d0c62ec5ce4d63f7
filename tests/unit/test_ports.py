"""Serial ports as the operating system tells of them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from serial.tools.list_ports_common import ListPortInfo

from drivers.address import Scheme, parse_address
from headend.watch.ports import port_of, problem_of

NOBODY = 65534


def told(device: str, vid: int | None = None, product: str = "", maker: str = "") -> ListPortInfo:
    info = ListPortInfo(device, skip_link_detection=True)
    info.vid, info.pid, info.product, info.manufacturer = vid, 0x6001, product, maker
    info.description = product or "n/a"
    return info


def test_a_probe_an_adapter_and_any_other_port_are_told_apart_and_each_has_an_address_to_type(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    probe = port_of(told(str(device), 0x0403, "USB optical probe", "Maker"), tmp_path)
    assert (probe.kind, probe.usb, probe.maker, probe.problem) == ("probe", "0403:6001", "Maker", "")
    adapter = port_of(told(str(device), 0x10C4, "CP2102"), tmp_path)
    assert (adapter.kind, adapter.maker) == ("adapter", "Silicon Labs")
    modem = port_of(told(str(device), 0x1234, "LTE modem"), tmp_path)
    onboard = port_of(told("COM1"), tmp_path)
    assert (modem.kind, onboard.kind) == ("other", "other")
    assert onboard.address == "serial:COM1"
    for port in (probe, adapter, modem, onboard):
        assert parse_address(port.address).scheme is Scheme.SERIAL
    assert parse_address(probe.address).line.mode_e


def test_a_name_that_stays_when_adapters_are_plugged_elsewhere_is_preferred(tmp_path: Path) -> None:
    device, names = tmp_path / "ttyUSB3", tmp_path / "by-id"
    device.touch()
    names.mkdir()
    (names / "usb-FTDI_A1").symlink_to("../ttyUSB3")
    assert port_of(told(str(device), 0x0403), names).address == f"serial://{names}/usb-FTDI_A1?baud=9600"


def test_a_port_that_this_user_may_not_open_says_what_to_do() -> None:
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        os.chmod(folder, 0o755)
        device = Path(folder) / "ttyUSB0"
        device.touch(mode=0)
        if is_root:
            os.seteuid(NOBODY)
        try:
            problem = problem_of(str(device))
        finally:
            if is_root:
                os.seteuid(0)
        assert problem == "not permitted: `sudo usermod -aG dialout $USER`, then log in again"
        assert "plug it in again" in problem_of(f"{folder}/gone")
