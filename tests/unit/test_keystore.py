"""The key store: bits come in once and go out once, over crashes and between processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from labctl.errors import RequestError, StorageError
from labctl.keys.bits import SecretBits
from labctl.keys.ledger import nodes_of
from labctl.keys.store import KeyStore, NotEnoughKeys, UnknownKey

A = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
B = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"


def bits(seed: int, length: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, length).astype(np.uint8)


def packed(*parts: np.ndarray) -> bytes:
    return b"".join(np.packbits(part[: len(part) // 8 * 8]).tobytes() for part in parts)


def test_keys_are_the_delivered_bits_in_order(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    first, second = bits(1, 1003), bits(2, 520)
    assert store.deliver(A, "alice-bob", first)
    assert store.deliver(B, "bob-alice:2", second)
    assert store.available(("alice", "bob")) == 125 + 65
    everything = packed(first, second)
    keys = store.give(("bob", "alice"), 5, 32, master="m", slave="s")
    assert b"".join(key.bits for key in keys) == everything[:160]  # the fourth spans both blocks
    assert store.available(("alice", "bob")) == 30
    with pytest.raises(NotEnoughKeys, match="1 of 256 bits were asked for, 240 bits are left"):
        store.give(("alice", "bob"), 1, 32, master="m", slave="s")
    assert len({key.id for key in keys}) == 5
    assert all(str(uuid.UUID(key.id)) == key.id for key in keys)
    fetched = KeyStore(tmp_path / "keys").fetch([k.id for k in keys[1:4]], master="m", slave="s")
    assert fetched == keys[1:4]


def test_both_ends_derive_the_same_numbers(tmp_path: Path) -> None:
    found = []
    for place in ("one", "two"):
        store = KeyStore(tmp_path / place)
        store.deliver(A, "alice-bob", bits(1, 1024))
        found.append(store.give(("alice", "bob"), 4, 32, master="m", slave="s"))
    assert found[0] == found[1]


def test_a_key_is_fetched_once_and_only_by_its_slave(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.deliver(A, "alice-bob", bits(1, 1024))
    one, two = store.give(("alice", "bob"), 2, 16, master="m", slave="s")
    for ids, master, slave, wrong in [
        ([one.id], "m", "other", [one.id]), ([one.id], "other", "s", [one.id]),
        ([one.id, "no such"], "m", "s", ["no such"]), ([one.id, one.id], "m", "s", [one.id]),
    ]:  # fmt: skip
        with pytest.raises(UnknownKey) as failure:
            store.fetch(ids, master=master, slave=slave)
        assert failure.value.ids == wrong
    assert store.fetch([one.id], master="m", slave="s") == [one]
    with pytest.raises(UnknownKey):
        store.fetch([one.id], master="m", slave="s")
    assert store.fetch([two.id], master="m", slave="s") == [two]


def test_fetched_bits_are_erased_and_nothing_else_holds_them(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    secret = bits(1, 1024)
    store.deliver(A, "alice-bob", secret, about={"run": "0001"})
    block = tmp_path / "blocks" / f"{A}.key"
    keys = store.give(("alice", "bob"), 4, 32, master="m", slave="s")
    store.fetch([keys[1].id], master="m", slave="s")
    held = block.read_bytes()
    assert held[32:64] == bytes(32)
    assert held[:32] + held[64:] == packed(secret)[:32] + packed(secret)[64:]
    store.fetch([keys[n].id for n in (0, 2, 3)], master="m", slave="s")
    assert not block.exists()
    journal = (tmp_path / "keys.jsonl").read_bytes()
    for key in keys:
        assert key.bits not in journal
        assert key.bits.hex().encode() not in journal
        assert repr(key.bits) not in repr(key)
    if os.name == "posix":
        store.deliver(B, "alice-bob", secret)
        assert (tmp_path / "blocks" / f"{B}.key").stat().st_mode & 0o077 == 0


def test_what_a_crash_left_unerased_is_erased_later(tmp_path: Path, monkeypatch) -> None:
    store = KeyStore(tmp_path)
    store.deliver(A, "alice-bob", bits(1, 1024))
    (key,) = store.give(("alice", "bob"), 1, 16, master="m", slave="s")
    with monkeypatch.context() as crash:
        crash.setattr(SecretBits, "erase", lambda self, part: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.fetch([key.id], master="m", slave="s")
    block = tmp_path / "blocks" / f"{A}.key"
    assert block.read_bytes().startswith(key.bits)
    with pytest.raises(UnknownKey):
        KeyStore(tmp_path).fetch([key.id], master="m", slave="s")
    assert block.read_bytes()[:16] == bytes(16)


def test_a_block_is_stored_once(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    assert store.deliver(A, "alice-bob", bits(1, 64))
    assert not store.deliver(A, "alice-bob", bits(2, 64))
    (key,) = store.give(("alice", "bob"), 1, 8, master="m", slave="s")
    assert key.bits == packed(bits(1, 64))
    assert not store.deliver(A, "alice-bob", bits(2, 64))
    assert store.available(("alice", "bob")) == 0


def test_simulated_bits_go_out_only_where_they_may(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.deliver(A, "alice-bob", bits(1, 512), simulated=True)
    assert store.available(("alice", "bob")) == 0
    with pytest.raises(NotEnoughKeys):
        store.give(("alice", "bob"), 1, 8, master="m", slave="s")
    assert store.available(("alice", "bob"), simulated=True) == 64
    assert len(store.give(("alice", "bob"), 1, 8, master="m", slave="s", simulated=True)) == 1


@pytest.mark.parametrize("link", ["alice", "alice-", "-bob", "a-b-c", "a-a", "a-a:2", ":x", ""])
def test_names_that_are_no_links(tmp_path: Path, link: str) -> None:
    with pytest.raises(RequestError, match="must be NODE-NODE or NODE-NODE:WHAT"):
        KeyStore(tmp_path / "keys").deliver(A, link, bits(1, 64))
    assert not (tmp_path / "keys").exists()
    assert nodes_of("C-D:50-30") == ("C", "D")


@pytest.mark.parametrize("wrong", [np.array([0, 1, 2]), np.zeros((2, 8)), np.array([0.5, 1])])
def test_what_is_no_bits(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(RequestError, match="must be a one-dimensional array of 0 and 1"):
        KeyStore(tmp_path / "keys").deliver(A, "alice-bob", wrong)


def test_a_damaged_journal_hands_out_nothing(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.deliver(A, "alice-bob", bits(1, 1024))
    store.give(("alice", "bob"), 1, 8, master="m", slave="s")
    journal = tmp_path / "keys.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"master":"m"', b'"master":"n"'))
    for _ in range(2):
        with pytest.raises(StorageError, match=r"line 2 .* no key is handed out of a damaged"):
            KeyStore(tmp_path).give(("alice", "bob"), 1, 8, master="m", slave="s")


def test_a_journal_out_of_a_backup_does_not_give_erased_keys(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.deliver(A, "alice-bob", bits(1, 1024))
    old = (tmp_path / "keys.jsonl").read_bytes()
    (key,) = store.give(("alice", "bob"), 1, 16, master="m", slave="s")
    store.fetch([key.id], master="m", slave="s")
    (tmp_path / "keys.jsonl").write_bytes(old)
    with pytest.raises(StorageError, match="bytes 0 to 16 were erased"):
        KeyStore(tmp_path).give(("alice", "bob"), 1, 16, master="m", slave="s")


def test_what_a_crash_left_half_written_was_never_handed_out(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.deliver(A, "alice-bob", bits(1, 1024))
    journal = tmp_path / "keys.jsonl"
    whole = journal.read_bytes()
    store.give(("alice", "bob"), 1, 16, master="m", slave="s")
    journal.write_bytes(journal.read_bytes()[: len(whole) + 30])
    again = KeyStore(tmp_path)
    (key,) = again.give(("alice", "bob"), 1, 16, master="m", slave="s")
    assert key.bits == packed(bits(1, 1024))[:16]
    assert again.fetch([key.id], master="m", slave="s") == [key]


#: Takes keys of changing size as fast as it can, and says each one once it has it.
TAKER = """
import os, sys
from labctl.keys.store import KeyStore, NotEnoughKeys
store = KeyStore(sys.argv[1])
os.write(1, b"ready\\n")
size = 8
while True:
    try:
        keys = store.give(("alice", "bob"), 2, size, master=sys.argv[2], slave="s")
    except NotEnoughKeys:
        break
    size = size % 24 + 8
    os.write(1, b"".join(b"%s %s\\n" % (k.id.encode(), k.bits.hex().encode()) for k in keys))
"""


def test_two_processes_that_are_killed_never_get_the_same_bits(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    length = 8 * 6000
    store.deliver(A, "alice-bob", bits(1, length // 2))
    store.deliver(B, "alice-bob", bits(2, length // 2))
    everything = packed(bits(1, length // 2), bits(2, length // 2))
    rng = random.Random(4)
    said: list[str] = []
    for _ in range(int(os.environ.get("LABCTL_KILLS", "6"))):
        takers = [
            subprocess.Popen([sys.executable, "-c", TAKER, str(tmp_path), name],
                             stdout=subprocess.PIPE, text=True)
            for name in ("m", "n")
        ]  # fmt: skip
        for taker in takers:
            assert taker.stdout is not None
            assert taker.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.06))  # a kill may come at any moment
        for taker in takers:
            with taker:
                taker.kill()
                said += [line for line in taker.stdout if line.endswith("\n")]
    assert said
    got = dict(line.split() for line in said)
    assert len(got) == len(said)  # no number twice
    places = [everything.find(bytes.fromhex(secret)) for secret in got.values()]
    assert -1 not in places
    covered = Counter(
        place + n
        for place, secret in zip(places, got.values(), strict=True)
        for n in range(len(secret) // 2)
    )
    assert set(covered.values()) == {1}  # no byte twice
    lines = [json.loads(line) for line in (tmp_path / "keys.jsonl").read_text().splitlines()]
    booked = {k["id"] for e in lines if e["entry"] == "given" for k in e["keys"]}
    assert set(got) <= booked
    after = KeyStore(tmp_path)
    assert after.available(("alice", "bob")) <= len(everything) - sum(covered.values())
