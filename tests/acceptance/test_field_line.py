"""`headend read` at the end of a serial line that is as slow as a real one."""

from __future__ import annotations

import json
import re

import pytest
from slow_line import slow_line
from terminal import Terminal


def test_what_a_read_says_of_the_line_is_what_went_over_it(terminal: Terminal) -> None:
    with slow_line() as line:
        meters = terminal.meters(1, "--serial", line.meter)
        row, keys = meters.rows[0], terminal.folder / "meter.toml"
        keys.write_text("\n".join(f'{name} = "{row[name]}"' for name in row if "key" in name or "secret" in name))
        address = f"serial://{line.client}?physical=17"
        done = terminal.run("read", address, "clock", "--type", "is15959-1ph", "--keys", keys, "--json", "-v")
        use = json.loads(done.stdout)["line"]
        assert use["baud"] == 9600
        assert use["sent"] + use["received"] == line.octets
        assert use["line_s"] == pytest.approx(line.octets * 10 / 9600, abs=0.001)
        assert use["taken_s"] >= use["line_s"]
        assert use["opening_s"] == 0
        told = re.search(
            r"at 9600 baud: (\d+) octets sent, (\d+) received; they take ([\d.]+) s, the read took", done.stderr
        )
        assert told is not None
        assert (int(told[1]), int(told[2])) == (use["sent"], use["received"])
        assert float(told[3]) == pytest.approx(use["line_s"], abs=0.006)
        # A port set to another speed hears nothing that it understands, and says where to look.
        wrong = terminal.run("read", f"serial://{line.client}?baud=4800&timeout=1", "clock", "--keys", keys, "-v",
                             exit_code=4)  # fmt: skip
        assert "no answer to SNRM" in wrong.stderr
        assert "The speed of the line is another one" in wrong.stderr
        missing = terminal.run("read", "serial:///dev/no-such-port", "clock", "--keys", keys, "-v", exit_code=4)
        assert "There is no such serial port" in missing.stderr
        meters.stop()
