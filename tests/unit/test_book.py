"""The engineer's book: what is kept comes back whole, to who may have it, and to nobody else."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from drivers.address import parse_address
from headend.book import Book, Entry
from headend.book_lock import PASSPHRASE_VARIABLE, SHORTEST_PASSPHRASE
from headend.keys import KeySources, key_texts
from headend.own_files import default_book
from headend.reading.target import target_of
from profiles.errors import HeadEndError, SecurityError, SettingsError
from profiles.loader import load_meter_type

PASSPHRASE = "correct horse battery"
KEY, OTHER_KEY = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
POLE = Entry(
    "pole-17",
    "tcp://127.0.0.1:4059",
    "is15959-1ph",
    "00000017",
    "534d410000000017",
    {"encryption_key": KEY, "lls_secret": "pole password", "hls_secret": "hex:0011"},
)


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    monkeypatch.setenv("HEADEND_BOOK", str(tmp_path / "state" / "book.json"))
    return Book(default_book())


def again(book: Book) -> Book:
    """The same book, opened anew."""
    return Book(book.path)


def test_a_meter_comes_back_with_all_that_was_kept(book: Book) -> None:
    assert book.keep([POLE]) == 1
    meter = again(book).meters()["pole-17"]
    assert meter.told() == {
        "name": "pole-17",
        "address": "tcp://127.0.0.1:4059",
        "meter_type": "is15959-1ph",
        "serial": "00000017",
        "system_title": "534D410000000017",
    }
    assert meter.holds == ("encryption_key", "hls_secret", "lls_secret")
    assert meter.keys() == POLE.keys


def test_the_file_is_its_owners_alone_and_holds_no_key_in_clear(book: Book) -> None:
    book.keep([POLE])
    content = book.path.read_text()
    assert book.path.stat().st_mode & 0o777 == 0o600
    assert book.path.parent.stat().st_mode & 0o777 == 0o700
    for secret in (KEY, KEY.upper(), "pole password", PASSPHRASE, b"pole password".hex()):
        assert secret not in content
    assert KEY not in repr(book.meters()) + repr(POLE)


def test_a_book_that_others_may_read_is_refused(book: Book) -> None:
    book.keep([POLE])
    book.path.chmod(0o640)
    with pytest.raises(SettingsError, match="open to others"):
        again(book).meters()


def test_a_wrong_passphrase_opens_nothing_and_adds_nothing(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.keep([POLE])
    before = book.path.read_bytes()
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE.upper())
    with pytest.raises(SecurityError, match="not the book's passphrase"):
        again(book).meters()["pole-17"].keys()
    with pytest.raises(SecurityError, match="not the book's passphrase"):
        again(book).keep([Entry("other", POLE.address, keys={"encryption_key": KEY})])
    assert book.path.read_bytes() == before


@pytest.mark.parametrize("what", ["address", "meter_type", "serial", "system_title", "name"])
def test_keys_are_not_given_out_for_a_meter_that_was_altered_by_other_hands(book: Book, what: str) -> None:
    book.keep([POLE, Entry("other", "tcp://127.0.0.2:4059")])
    state = json.loads(book.path.read_text())
    if what == "name":
        state["meters"]["moved"] = state["meters"].pop("pole-17")
    else:
        state["meters"]["pole-17"][what] = state["meters"]["other"][what]
    book.path.write_text(json.dumps(state))
    meter = again(book).meters()["moved" if what == "name" else "pole-17"]
    with pytest.raises(SecurityError, match="altered"):
        meter.keys()


def test_what_an_entry_does_not_say_is_left_as_it_is(book: Book) -> None:
    book.keep([POLE])
    assert book.keep([Entry("pole-17", keys={"encryption_key": OTHER_KEY})], change=True) == 1
    assert book.keep([Entry("pole-17", "tcp://127.0.0.9:4059")], change=True) == 1
    meter = again(book).meters()["pole-17"]
    assert (meter.address, meter.serial) == ("tcp://127.0.0.9:4059", "00000017")
    assert meter.keys() == {**POLE.keys, "encryption_key": OTHER_KEY}


def test_keeping_the_same_again_changes_nothing(book: Book) -> None:
    book.keep([POLE])
    before = book.path.read_bytes()
    assert again(book).keep([POLE], change=True) == 0
    assert again(book).keep([Entry("pole-17")], change=True) == 0
    assert book.path.read_bytes() == before


def test_a_name_that_is_taken_is_only_changed_where_that_is_meant(book: Book) -> None:
    book.keep([POLE])
    with pytest.raises(SettingsError, match="in the book already"):
        book.keep([Entry("new", "tcp://127.0.0.3:4059"), Entry("pole-17", "tcp://127.0.0.9:4059")])
    assert list(again(book).meters()) == ["pole-17"]


def test_a_meter_without_keys_needs_no_lock(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    book.keep([Entry("pole-17", "tcp://127.0.0.1:4059")])
    assert book.meters()["pole-17"].keys() == {}
    book.remove("pole-17")
    assert again(book).meters() == {}
    with pytest.raises(SettingsError, match="no 'pole-17'"):
        book.remove("pole-17")


def test_without_terminal_and_environment_the_passphrase_cannot_be_had(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.keep([POLE])
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(SettingsError, match="there is no terminal") as refused:
        again(book).meters()["pole-17"].keys()
    assert PASSPHRASE_VARIABLE in refused.value.remedy


def test_a_new_passphrase_that_is_short_is_refused(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "x" * (SHORTEST_PASSPHRASE - 1))
    with pytest.raises(SettingsError, match="12 characters or more"):
        book.keep([POLE])
    assert not book.path.exists()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (Entry("a:b", POLE.address), "no name for a meter"),
        (Entry("--help", POLE.address), "no name for a meter"),
        (Entry(" ", POLE.address), "no name for a meter"),
        (Entry("a\nb", POLE.address), "no name for a meter"),
        (Entry("a" * 501, POLE.address), "no part of an entry"),
        (Entry("a"), "not a meter address"),
        (Entry("a", POLE.address, "no-such-type"), "no meter type"),
        (Entry("a", POLE.address, system_title="1234"), "not a system title"),
        (Entry("a", POLE.address, keys={"encryption_key": KEY[:-2]}), "encryption_key: "),
        (Entry("a", POLE.address, keys={"authentication_key": "no hex"}), "authentication_key: "),
        (Entry("a", POLE.address, keys={"hls_secret": "hex:0"}), "hls_secret: "),
        (Entry("a", POLE.address, keys={"signing_key": "no hex"}), "signing_key: "),
        (Entry("a", POLE.address, keys={"peer_signing_key": "00"}), "peer_signing_key: "),
        (Entry("a", POLE.address, keys={"other_key": KEY}), "other_key: "),
    ],
)
def test_what_is_none_is_not_kept_and_its_key_not_shown(book: Book, entry: Entry, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        book.keep([entry])
    assert told in str(refused.value)
    assert all(text not in str(refused.value) for text in entry.keys.values())
    assert not book.path.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"lock": null}',
        '{"lock": null, "meters": {"a": {}}}',
        '{"lock": {"by": "passphrase", "salt": "no hex", "proof": ""}, "meters": {}}',
        '{"lock": {"by": "keyring", "proof": ""}, "meters": {}}',
        '{"lock": null, "meters": {"a": {"address": 5, "meter_type": "", "serial": "", "system_title": "", '
        '"holds": [], "sealed": ""}}}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_book_is_told_and_left_alone(book: Book, content: str) -> None:
    book.path.parent.mkdir(mode=0o700)
    book.path.touch(0o600)
    book.path.write_text(content)
    with pytest.raises(SettingsError, match="no book, or is damaged"):
        book.meters()
    with pytest.raises(SettingsError, match="no book, or is damaged"):
        book.keep([POLE])
    assert book.path.read_text() == content


def _keep_meters(path: Path, first: int) -> None:
    for number in range(first, first + 20):
        Book(path).keep([Entry(f"meter {number}", f"tcp://127.0.0.1:{number}")])


def test_meters_that_several_programs_keep_at_once_are_all_there(book: Book) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_keep_meters, args=(book.path, 1 + 20 * place)) for place in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(book.meters()) == 60


# --- names and keys for commands --------------------------------------------------------------------------------


def test_a_name_is_looked_up_and_an_address_is_not(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADEND_DATABASE__DSN", raising=False)
    book.keep([POLE])
    found = target_of("pole-17")
    assert str(found.address) == POLE.address
    assert (found.meter_type, found.system_title, found.registered) == (POLE.meter_type, "534D410000000017", False)
    assert found.saved is not None
    assert found.saved() == POLE.keys
    assert KEY not in repr(found)
    assert target_of("tcp://127.0.0.1:4059").saved is target_of("serial:/dev/ttyUSB0").saved is None
    with pytest.raises(SettingsError, match="neither an address nor a meter in the book"):
        target_of("pole-18")


def test_the_book_wins_over_the_environment_and_loses_to_the_key_file(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.keep([POLE])
    monkeypatch.setenv("HEADEND_ENCRYPTION_KEY", OTHER_KEY)
    associations = load_meter_type("is15959-1ph").associations
    address = parse_address(POLE.address)
    meter = book.meters()["pole-17"]
    texts = key_texts(KeySources(saved=meter.keys), address, associations["meter_reader"])
    assert (texts["encryption_key"], texts["secret"]) == (KEY, "pole password")
    assert key_texts(KeySources(saved=meter.keys), address, associations["utility_setting"])["secret"] == "hex:0011"
    file = tmp_path / "keys.toml"
    file.write_text(f'encryption_key = "{OTHER_KEY}"\n')
    texts = key_texts(KeySources(file, saved=meter.keys), address, associations["meter_reader"])
    assert (texts["encryption_key"], texts["secret"]) == (OTHER_KEY, "pole password")


def test_an_association_without_keys_does_not_open_the_book(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.keep([POLE])
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "the wrong passphrase")
    public = load_meter_type("is15959-1ph").associations["public"]
    saved = again(book).meters()["pole-17"].keys
    assert "lls_secret" not in key_texts(KeySources(saved=saved), parse_address(POLE.address), public)


# --- the system keyring -----------------------------------------------------------------------------------------


class Ring(KeyringBackend):
    """A keyring as any: it keeps what it is given, in memory."""

    priority: float = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("it is locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def ring() -> Iterator[Ring]:
    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_where_there_is_a_keyring_it_holds_the_books_key_and_no_passphrase_is_asked(
    book: Book, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    book.keep([POLE])
    assert again(book).meters()["pole-17"].keys() == POLE.keys
    [key] = ring.kept.values()
    assert len(bytes.fromhex(key)) == 32
    assert key not in book.path.read_text()
    ring.locked = True
    with pytest.raises(SettingsError, match="the system keyring refuses: it is locked"):
        again(book).meters()["pole-17"].keys()


def test_a_key_that_the_keyring_lost_or_changed_is_told(
    book: Book, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    book.keep([POLE])
    ring.kept.update(dict.fromkeys(ring.kept, "00" * 32))
    with pytest.raises(SecurityError, match="not the book's"):
        again(book).meters()["pole-17"].keys()
    ring.kept.clear()
    with pytest.raises(SettingsError, match="is not there"):
        again(book).meters()["pole-17"].keys()


def test_a_given_passphrase_wins_over_the_keyring(book: Book, ring: Ring) -> None:
    book.keep([POLE])
    assert ring.kept == {}
    assert again(book).meters()["pole-17"].keys() == POLE.keys


def test_a_keyring_that_keeps_nothing_safe_is_not_used(book: Book, ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "priority", 0.5)
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(HeadEndError, match="no terminal to ask for the new passphrase"):
        book.keep([POLE])
    assert ring.kept == {}


def test_a_meter_is_called_otherwise_with_its_keys_and_no_other_is_lost(book: Book) -> None:
    book.keep([POLE, Entry("other", "tcp://127.0.0.2:4059")])
    book.rename("pole-17", "pump")
    assert list(again(book).meters()) == ["other", "pump"]
    assert again(book).meters()["pump"].keys() == POLE.keys
    with pytest.raises(SettingsError, match="in the book already"):
        book.rename("pump", "other")
    with pytest.raises(SettingsError, match="no 'pole-17'"):
        book.rename("pole-17", "new")
