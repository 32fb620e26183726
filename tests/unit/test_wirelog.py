"""A recording must hold every byte, small, and answer exactly as the instruments did."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import VirtualClock
from labctl.errors import ConnectionLost, ReplayMismatch, StorageError, TransportTimeout
from labctl.journal import Journal
from labctl.transport.link import Link
from labctl.transport.replaying import Transcript
from labctl.transport.wirelog import LONGEST, SHORTEST, RecordingTransport, WireLog, cuts, recording
from simulated_instruments.faults import plan, wrap


class Meter:
    """Answers every question after 0.1 s with something that depends on all that was said."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.rest = b""

    def feed(self, data, now):
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [(now + 0.1, self.answer(line)) for line in lines if line.endswith(b"?")]

    def answer(self, line):
        if line == b"BLOCK?":
            return b"#44000" + self.rng.bytes(4000) + b"\n"
        return b"%.17g\n" % self.rng.normal()


def recorded(path, clock=None, faults=None, log=None, seed=0):
    clock = clock or VirtualClock()
    log = log or WireLog(path)

    def opened():
        meter = Meter(seed)
        return Link(wrap(meter, faults) if faults else meter, clock)

    a = ByteAdapter(
        recording(opened, clock, log, "meter"), clock, name="meter", framing=Framing(timeout=1.0)
    )
    return a, log


def replayed(path, stretch=0):
    clock = VirtualClock()
    transcript = Transcript(path, stretch)
    return ByteAdapter(
        lambda: transcript.transport("meter", clock),
        clock,
        name="meter",
        framing=Framing(timeout=1.0),
    )


def measure(a):
    """A little experiment: what it returns includes all times and errors."""
    rows = []
    for n in range(12):
        a.clock.sleep(0.01)
        try:
            if n % 4 == 3:
                a.write("BLOCK?")
                value = a.read_block()
            else:
                value = a.query(f"{n}?")
        except (TransportTimeout, ConnectionLost) as error:
            value = str(error)
        a.write("NOTE " + "ä" * n)
        rows.append((a.clock.now(), value))
    a.close()
    return rows


def test_replay_gives_the_same_rows_at_the_same_times(tmp_path):
    a, log = recorded(tmp_path / "wire.jsonl")
    rows = measure(a)
    log.close()
    assert measure(replayed(tmp_path / "wire.jsonl")) == rows
    assert len({value for _, value in rows}) == 12


@pytest.mark.parametrize("fault", ["drop", "late", "double", "truncate", "disconnect", "hang"])
def test_faults_replay_as_they_happened(tmp_path, fault):
    path = tmp_path / "wire.jsonl"
    a, log = recorded(path, faults=plan({fault: [2, 4], "late_by": 1.4}))
    rows = measure(a)
    log.close()
    again = replayed(path)
    assert measure(again) == rows
    assert (again.reconnects, again.discarded) == (a.reconnects, a.discarded)


def test_refused_connections_replay(tmp_path):
    path, clock = tmp_path / "wire.jsonl", VirtualClock()
    log, attempts = WireLog(path), []

    def opened():
        attempts.append(clock.now())
        if len(attempts) in (2, 3):
            raise ConnectionLost("nobody there")
        faults = plan({"disconnect": 2}) if len(attempts) == 1 else None
        return Link(wrap(Meter(), faults) if faults else Meter(), clock)

    a = ByteAdapter(
        recording(opened, clock, log, "meter"), clock, name="meter", framing=Framing(timeout=1.0)
    )
    rows = measure(a)
    log.close()
    assert len(attempts) == 4
    assert measure(replayed(path)) == rows


@given(st.lists(st.integers(1, 700), max_size=100))
def test_replay_does_not_depend_on_the_sizes_of_chunks(tmp_path_factory, lengths):
    path = tmp_path_factory.getbasetemp() / "chunks.jsonl"
    path.unlink(missing_ok=True)
    clock, log = VirtualClock(), WireLog(path)

    class Chopped(Link):
        held = b""

        def receive(self, timeout):
            self.held = self.held or super().receive(timeout)
            length = lengths.pop(0) if lengths else len(self.held)
            piece, self.held = self.held[:length], self.held[length:]
            return piece

        def arrived(self):
            piece, self.held = self.held, b""
            return piece or super().arrived()

    a = ByteAdapter(
        lambda: RecordingTransport(Chopped(Meter(), clock), clock, log, "meter"),
        clock,
        name="meter",
        framing=Framing(timeout=1.0),
    )
    rows = measure(a)
    log.close()
    assert measure(replayed(path)) == rows


def test_another_question_is_refused_with_both_texts(tmp_path):
    a, log = recorded(tmp_path / "wire.jsonl")
    a.query("POWER?")
    log.close()
    b = replayed(tmp_path / "wire.jsonl")
    with pytest.raises(ReplayMismatch) as caught:
        b.query("POWDER?")
    text = str(caught.value)
    assert text.startswith("meter: at 0.000000 s the driver sent 'POWDER?\\n' where 'POWER?\\n'")
    assert "(byte 3 of the message)" in text
    assert "\n" not in text


def test_a_difference_far_inside_a_large_message_is_shown(tmp_path):
    a, log = recorded(tmp_path / "wire.jsonl")
    a.write("x" * 50_000)
    log.close()
    b = replayed(tmp_path / "wire.jsonl")
    with pytest.raises(ReplayMismatch, match=r"'x{20}y.*\(byte 40000 of the message\)"):
        b.write("x" * 40_000 + "y" + "x" * 9_999)


def test_more_than_was_recorded_is_refused(tmp_path):
    a, log = recorded(tmp_path / "wire.jsonl")
    a.query("1?")
    log.close()
    b = replayed(tmp_path / "wire.jsonl")
    b.query("1?")
    with pytest.raises(ReplayMismatch, match=r"sends '2\?\\n', but nothing more was recorded"):
        b.query("2?")


def test_an_answer_that_was_not_recorded_is_refused(tmp_path):
    a, log = recorded(tmp_path / "wire.jsonl")
    a.write("SET 1")
    a.write("SET 2")
    log.close()
    b = replayed(tmp_path / "wire.jsonl")
    b.write("SET 1")
    with pytest.raises(ReplayMismatch, match=r"waits for an answer, but .* was sent 'SET 2\\n'"):
        b.read()


def test_unknown_instrument(tmp_path):
    WireLog(tmp_path / "wire.jsonl").close()
    with pytest.raises(ReplayMismatch, match=r"meter: the transcript .* does not know it"):
        replayed(tmp_path / "wire.jsonl")


def test_interlocks_are_left_out(tmp_path):
    a, log = recorded(tmp_path / "wire.jsonl")
    first = a.query("1?")
    log.speaker = "interlock"
    a.query("TEMP?")
    log.speaker = "run"
    second, ended = a.query("2?"), a.clock.now()
    log.close()
    b = replayed(tmp_path / "wire.jsonl")
    assert (b.query("1?"), b.query("2?"), b.clock.now()) == (first, second, ended)


def test_stretches_are_kept_apart(tmp_path):
    path = tmp_path / "wire.jsonl"
    rows = []
    for stretch in range(3):
        a, log = recorded(path, log=WireLog(path, stretch), seed=stretch)
        rows.append(measure(a))
        log.close()
    assert rows[0] != rows[1]
    for stretch in (1, 2, 0):
        assert measure(replayed(path, stretch)) == rows[stretch]


def test_only_flushed_entries_are_on_disk_and_a_torn_tail_is_tolerated(tmp_path):
    path = tmp_path / "wire.jsonl"
    a, log = recorded(path)
    value = a.query("1?")
    log.flush()
    a.query("2?")
    assert sum(entry["entry"] == "wire" for entry in Journal.read(path)) == 3
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    b = replayed(path)
    assert b.query("1?") == value
    with pytest.raises(ReplayMismatch):
        b.query("2?")
    WireLog(path, 1).close()  # a resumed run continues the same file
    assert [entry["n"] for entry in Journal.read(path) if entry["entry"] == "stretch"] == [0, 1]


def test_a_damaged_piece_is_named(tmp_path):
    path = tmp_path / "wire.jsonl"
    a, log = recorded(path)
    a.write("x" * 5000)
    log.close()
    lines = [line for line in path.read_bytes().splitlines(True) if b'"pieces"' not in line]
    path.write_bytes(b"".join(lines))
    with pytest.raises(StorageError, match="piece 0 is damaged or missing"):
        replayed(path).write("x" * 5000)


@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_any_bytes_survive(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes.jsonl"
    path.unlink(missing_ok=True)
    log = WireLog(path)
    log.note(1.5, "meter", "<", data)
    log.close()
    transcript = Transcript(path)
    [(t, what, said)] = transcript._entries["meter"]
    assert (t, what, transcript.bytes_of(said)) == (1.5, "<", data)


def test_text_is_readable_in_the_file(tmp_path):
    log = WireLog(tmp_path / "wire.jsonl")
    log.note(1.5, "laser", ">", b"WAV 1550.12\r\n")
    log.close()
    line = json.loads((tmp_path / "wire.jsonl").read_text("utf-8").splitlines()[1])
    assert line == {
        "entry": "wire", "t": 1.5, "i": "laser", "d": ">", "s": "WAV 1550.12\r\n",
        "crc": line["crc"],
    }  # fmt: skip


@given(st.binary(min_size=8, max_size=60_000))
def test_pieces_cover_everything(data):
    ends = cuts(data)
    assert ends[-1] == len(data)
    assert all(0 < end - start <= LONGEST for start, end in zip([0, *ends], ends, strict=False))


def test_pieces_of_monotonous_data_are_not_tiny():
    """Some eight bytes are a cut; data that repeat them must not fall into crumbs."""
    counter = np.arange(100_000, dtype="<u8")
    [place] = [end for end in cuts(counter.tobytes()) if end % 8 == 0][:1]
    word = counter.tobytes()[place - 8 : place]
    assert len(cuts(word * 10_000)) <= 80_000 / SHORTEST + 1


def test_an_inserted_line_changes_few_pieces():
    rng = np.random.default_rng(5)
    lines = [
        b"%.4f\t%.4f\t%d\n" % (191.25 + 0.001 * k, rng.uniform(0, 6), k % 4) for k in range(5026)
    ]
    before = b"".join(lines)
    after = b"".join([*lines[:2000], b"inserted\n", *lines[2000:]])

    def pieces(data):
        ends = cuts(data)
        return {data[start:end] for start, end in zip([0, *ends], ends, strict=False)}

    assert len(pieces(before)) > 50
    assert len(pieces(after) - pieces(before)) <= 2


def profile(rng):
    """Text like a filter profile: 5026 lines, of which four bands differ from call to call."""
    attenuation, phase = np.full(5026, 60.0), np.zeros(5026)
    attenuation[np.arange(5026) % 70 < 25] = 0.0
    for band in rng.choice(70, 4, replace=False) * 70:
        attenuation[band : band + 25] = rng.choice([0.0, 3.0103, 40.0])
        phase[band : band + 25] = rng.uniform(0, 2 * np.pi)
    frequency = 191.25 + 0.001 * np.arange(5026)
    table = zip(frequency, attenuation, phase, strict=True)
    return "".join(f"{f:.4f}\t{a:.4f}\t{p:.4f}\t1\n" for f, a, p in table).encode()


def test_a_sweep_of_profiles_stays_small(tmp_path):
    rng, path = np.random.default_rng(3), tmp_path / "wire.jsonl"
    log, sent = WireLog(path), []
    for k in range(100):
        text = profile(rng)
        body = text.replace(b"\t", b"\\t").replace(b"\n", b"\\n")
        for what, data in ((">", body), ("<", text)):
            log.note(float(k), "shaper", what, data)
            sent.append(data)
    log.close()
    assert path.stat().st_size < 200 * 12_000  # 832 uploads and read-backs: below 20 MB
    transcript = Transcript(path)
    assert [transcript.bytes_of(said) for _, _, said in transcript._entries["shaper"]] == sent


def test_the_memory_of_pieces_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("labctl.transport.wirelog.MEMORY", 20_000)
    rng, path = np.random.default_rng(0), tmp_path / "wire.jsonl"
    log = WireLog(path)
    sent = [rng.bytes(9000) for _ in range(10)]
    for data in [*sent, *sent]:
        log.note(0.0, "tdc", "<", data)
        assert log._remembered <= 20_000 + 9000
    log.close()
    transcript = Transcript(path)
    assert [transcript.bytes_of(s) for _, _, s in transcript._entries["tdc"]] == [*sent, *sent]
