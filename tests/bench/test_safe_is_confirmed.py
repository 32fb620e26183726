"""Nobody may believe a bench to be safe because words went into a wire that nobody hears."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from labctl.bench import Bench, find_bench, shipped_benches
from labctl.errors import LabError
from labctl.transport.link import Link

#: What is left as it is or only stops to look: nothing must arrive.
NOTHING_TO_DO = {
    "Anc300", "KeysightSwitch", "MeerstetterTec", "QontrolInputs", "SpectrumAnalyser",
    "ThorlabsPm100", "WebSq", "YokogawaAq6370",
}  # fmt: skip


@pytest.fixture
def wire(monkeypatch):
    """What every link of a bench asks before it passes anything on; `wire.cut` is False at first."""
    wire = SimpleNamespace(cut=False)
    send, receive = Link.send, Link.receive

    def sent(link, data):
        if not wire.cut:
            send(link, data)

    def received(link, timeout):
        if not wire.cut:
            return receive(link, timeout)
        link._go_to(link._clock.now() + timeout)
        return b""

    monkeypatch.setattr(Link, "send", sent)
    monkeypatch.setattr(Link, "receive", received)
    logging.disable(logging.WARNING)  # connections are made anew, which is said
    yield wire
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", shipped_benches())
def test_what_could_do_harm_is_not_called_safe_before_it_answers(name, wire):
    quiet = set()
    with Bench.open(find_bench(name), "sim") as bench:
        wire.cut = True
        for instrument in bench.instruments.values():
            try:
                instrument.make_safe()
            except LabError:
                continue
            quiet.add(type(instrument).__name__)
        wire.cut = False
    assert quiet <= NOTHING_TO_DO
    assert len(quiet) < len(bench.instruments)
