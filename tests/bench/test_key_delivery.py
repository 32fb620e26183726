"""Secret bits that a procedure distils: into the store once, however often the run is repeated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import toybench
from commandline import call

from labctl.errors import RequestError
from labctl.keys.store import KeyStore
from labctl.run.folder import RunFolder


class Distil(toybench.Watch):
    """Deliver a key at each point and one from the analysis."""

    def measure_point(self, point):
        bits = self.rng.integers(0, 2, 100)
        self.deliver_key("alice-bob:live", bits, label=f"point {point['step']}")
        return super().measure_point(point)

    def analyse(self, data):
        block = self.deliver_key("alice-bob", np.arange(1003) % 3 == 0)
        return {"mean": 1.0, "block": block}


@pytest.fixture
def distil(capsys, place, monkeypatch):
    """Run it; returns the document on standard output."""
    monkeypatch.setattr(toybench, "Distil", Distil, raising=False)
    Distil.__module__ = "toybench"
    monkeypatch.delenv("LABCTL_KEYS", raising=False)

    def run(*words: str, verb: tuple[str, ...] = ("run", "toybench:Distil", "--bench", "toy.toml")):
        code, out, err = call(capsys, *verb, "--json", *words)
        assert code == 0, err
        return json.loads(out)

    return run


def held(place: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for block in KeyStore(place).blocks():
        assert block.simulated
        found[block.link] = found.get(block.link, 0) + block.size
    return found


def test_a_run_delivers_and_cites_its_keys(distil, place, capsys) -> None:
    run = RunFolder.open(distil()["run"])
    assert held(place / "runs" / "keystore") == {"alice-bob": 125, "alice-bob:live": 120}
    cited = run.keys
    assert len(cited) == 11
    assert (cited[-1]["link"], cited[-1]["bits"]) == ("alice-bob", 1000)
    assert {k["block"] for k in cited} == {
        b.id for b in KeyStore(place / "runs" / "keystore").blocks()
    }
    secret = np.packbits(np.arange(1000) % 3 == 0).tobytes()
    for path in run.path.rglob("*"):
        if path.is_file():
            assert secret[:16] not in path.read_bytes()
    shown = call(capsys, "show", "last")[1]
    assert "alice-bob:live" in shown
    assert cited[-1]["block"] in shown


def test_repeating_a_run_delivers_nothing(distil, place) -> None:
    first = distil()
    before = held(place / "runs" / "keystore")
    assert distil("last", verb=("replay",))["identical"]
    again = distil("last", verb=("analyse",))
    assert held(place / "runs" / "keystore") == before
    (cited,) = RunFolder.open(again["run"]).keys
    assert cited["store"] is None
    assert cited["block"] != first["results"]["block"]["value"]


def test_a_point_measured_again_after_a_crash_delivers_once(distil, place, capsys, monkeypatch):
    words = ("run", "toybench:Distil", "--bench", "toy.toml", "--set", "fail_at=4")
    assert call(capsys, *words)[0] == 1
    assert held(place / "runs" / "keystore") == {"alice-bob:live": 60}
    set_parameters = Distil.set
    monkeypatch.setattr(
        Distil, "set", lambda self, **values: set_parameters(self, **{**values, "fail_at": -1})
    )
    run = RunFolder.open(distil("last", verb=("resume",))["run"])
    assert held(place / "runs" / "keystore") == {"alice-bob": 125, "alice-bob:live": 120}
    assert len({k["block"] for k in run.keys}) == 11


def test_the_store_may_be_elsewhere(distil, place, monkeypatch) -> None:
    monkeypatch.setenv("LABCTL_KEYS", str(place / "vault"))
    distil()
    assert sum(held(place / "vault").values()) == 245
    assert not (place / "runs" / "keystore").exists()


def test_only_runs_deliver(distil) -> None:
    with pytest.raises(RequestError, match="only a run can deliver keys"):
        Distil().deliver_key("alice-bob", np.zeros(8))
