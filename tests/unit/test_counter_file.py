"""The counter file: no number is given out twice, whatever happens to the process that asked for it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.credentials import MAX_COUNTER
from drivers.dlms.security import Key
from headend import counter_file
from headend.counter_file import CounterFile
from headend.own_files import default_counter_file
from profiles.errors import SecurityError, SettingsError

KEY = Key(bytes(range(16)))
OTHER_KEY = Key(bytes(16))
METER = b"SMA00001"

RESERVE = """
import sys
from pathlib import Path
from drivers.dlms.security import Key
from headend.counter_file import CounterFile

counters = CounterFile(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    run = counters.reserve(Key(bytes(range(16))), 8)
    print(run.next, run.end, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "counters.json"


def reserving(path: Path, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", RESERVE, str(path), str(times)], stdout=subprocess.PIPE, text=True)


def runs(said: str) -> list[range]:
    """Of whole lines: the last one of a killed process may be cut."""
    lines = said.splitlines(keepends=True)
    return [range(*map(int, line.split())) for line in lines if line.endswith("\n")]


def test_runs_follow_each_other_without_a_gap_and_begin_above_zero(path: Path) -> None:
    counters = CounterFile(path)
    first, second = counters.reserve(KEY, 64), counters.reserve(KEY, 8)
    assert (first.next, first.end, second.next, second.end) == (1, 65, 65, 73)
    assert counters.last_spent(KEY) == 72
    assert CounterFile(path).reserve(KEY, 1).next == 73


def test_each_key_has_its_own_counter(path: Path) -> None:
    counters = CounterFile(path)
    assert counters.last_spent(KEY) == counters.last_spent(OTHER_KEY) == 0
    counters.reserve(KEY, 500)
    assert counters.reserve(OTHER_KEY, 1).next == 1


def test_a_run_begins_above_what_the_meter_has_seen(path: Path) -> None:
    counters = CounterFile(path)
    assert counters.reserve(KEY, 8, above=1000).next == 1001
    assert counters.reserve(KEY, 8, above=1003).next == 1009


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 300), st.integers(-1, 2000)), min_size=1, max_size=12))
def test_no_number_is_in_two_runs(tmp_path: Path, asked: list[tuple[int, int]]) -> None:
    path = tmp_path / "counters.json"
    path.unlink(missing_ok=True)
    given_out: list[int] = []
    for count, above in asked:
        run = CounterFile(path).reserve(KEY, count, above=above)
        assert run.end - run.next == count
        assert run.next > above
        given_out += range(run.next, run.end)
    assert given_out == sorted(set(given_out))


def test_a_counter_at_its_end_is_refused_and_nothing_is_spent(path: Path) -> None:
    counters = CounterFile(path)
    counters.reserve(KEY, 8, above=MAX_COUNTER - 20)
    spent = counters.last_spent(KEY)
    with pytest.raises(SecurityError, match="reached its end") as caught:
        counters.reserve(KEY, 64)
    assert "change the meter's encryption key" in str(caught.value)
    assert counters.last_spent(KEY) == spent


def test_a_forged_counter_at_the_very_end_spends_nothing(path: Path) -> None:
    with pytest.raises(SecurityError):
        CounterFile(path).reserve(KEY, 64, above=MAX_COUNTER)
    assert CounterFile(path).last_spent(KEY) == 0


def test_the_meters_counter_only_rises(path: Path) -> None:
    counters = CounterFile(path)
    assert counters.last_received(KEY, METER) == -1
    for counter in (7, 3):
        counters.record_received(KEY, METER, counter)
        assert counters.last_received(KEY, METER) == 7
    assert counters.last_received(KEY, b"SMA00002") == counters.last_received(OTHER_KEY, METER) == -1


def test_the_client_title_is_drawn_once_for_each_file(path: Path, tmp_path: Path) -> None:
    title = CounterFile(path).client_title()
    assert len(title) == 8
    CounterFile(path).reserve(KEY, 8)
    assert CounterFile(path).client_title() == title
    assert CounterFile(tmp_path / "another.json").client_title() != title


def test_the_file_shows_no_key_and_only_its_owner_may_read_it(path: Path) -> None:
    counters = CounterFile(path)
    counters.reserve(KEY, 8)
    counters.record_received(KEY, METER, 5)
    assert KEY.octets.hex() not in path.read_text().lower()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_concurrent_processes_reserve_runs_that_share_no_number(path: Path) -> None:
    processes = [reserving(path, 25) for _ in range(4)]
    found = [run for process in processes for run in runs(process.communicate(timeout=60)[0])]
    numbers = [number for run in found for number in run]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(found) == 100
    assert sorted(numbers) == list(range(1, 801))


def test_a_process_killed_at_any_moment_leaves_a_whole_file_and_no_number_comes_twice(path: Path) -> None:
    found: list[range] = []
    for attempt in range(6):
        process = reserving(path, 1_000_000)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.01 * attempt)
        process.send_signal(signal.SIGKILL)
        found += runs(first + process.communicate(timeout=60)[0])
        run = CounterFile(path).reserve(KEY, 8)
        found.append(range(run.next, run.end))
    numbers = [number for run in found for number in run]
    assert len(found) >= 12
    assert len(numbers) == len(set(numbers))
    assert numbers == sorted(numbers)


def test_what_a_crash_leaves_beside_the_file_does_no_harm(path: Path) -> None:
    counters = CounterFile(path)
    counters.reserve(KEY, 8)
    path.with_name("counters.json.new").write_text("{half")
    assert counters.reserve(KEY, 8).next == 9


@pytest.mark.parametrize("name", ["counters", "counters.lock", "counters.new", "counters.json.bak"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    for first in (1, 9, 17):
        assert CounterFile(tmp_path / name).reserve(KEY, 8).next == first


GOOD = {"client_system_title": "4845530102030405", "next": {}, "received": {}}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff\xfe\x00",
        b'{"next": {}}',
        b"[" * 100_000,
        json.dumps(GOOD | {"client_system_title": "4845"}).encode(),
        json.dumps(GOOD | {"client_system_title": "not hex, no"}).encode(),
        json.dumps(GOOD | {"client_system_title": 7}).encode(),
        json.dumps(GOOD | {"next": []}).encode(),
        json.dumps(GOOD | {"next": {"key": "8"}}).encode(),
        json.dumps(GOOD | {"next": {"key": True}}).encode(),
        json.dumps(GOOD | {"next": {"key": -1}}).encode(),
        json.dumps(GOOD | {"received": {"key": 2**32}}).encode(),
    ],
)
def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for use in (lambda file: file.reserve(KEY, 8), lambda file: file.client_title()):
        with pytest.raises(SettingsError, match="is damaged") as caught:
            use(CounterFile(path))
        assert str(path) in str(caught.value)
        assert "no older copy" in str(caught.value), "an older copy would give counters out a second time"
    assert path.read_bytes() == content


def test_a_file_that_was_deleted_begins_anew_under_another_title(path: Path) -> None:
    title = CounterFile(path).client_title()
    path.unlink()
    assert CounterFile(path).client_title() != title


def test_a_file_held_by_another_program_is_waited_for_and_then_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CounterFile(path).reserve(KEY, 8)
    monkeypatch.setattr(counter_file, "LOCK_WAIT_S", 0.1)
    with open(path.with_name("counters.json.lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match="held by another program") as caught:
            CounterFile(path).reserve(KEY, 8)
        assert str(path) in str(caught.value)
    assert CounterFile(path).reserve(KEY, 8).next == 9


def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't be used") as caught:
        CounterFile(tmp_path / "file" / "counters.json").reserve(KEY, 8)
    assert "--counters FILE" in str(caught.value)


def test_the_default_place_is_the_users_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_counter_file() == tmp_path / "headend" / "counters.json"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_counter_file() == tmp_path / ".local" / "state" / "headend" / "counters.json"


def test_what_was_reserved_is_on_the_disk_before_it_is_given_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    run = CounterFile(path).reserve(KEY, 8)
    assert synced == [f"{path}.new", str(path.parent)]
    assert list(json.loads(path.read_text())["next"].values()) == [run.end]
