"""RF source, amplifier, chip temperature and second laser of the microcomb bench: what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.bench import Bench, find_bench
from labctl.errors import InterlockTripped, RequestError
from labctl.run import run
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.runner import start
from procedures.squeezing_spectrum import SqueezingSpectrum
from simulated_instruments.worlds.microcomb import MicrocombWorld

SHORT = {"sweep_time": 1.0, "scan_steps": 5, "trace_points": 101}


def squeezed(tmp_path: Path, world: dict[str, Any] | None = None, **options: Any) -> RunFolder:
    request = Request(
        "squeezing-spectrum", SHORT | options, bench="cluster-microcomb", world=world or {}, seed=2,
        record=False,
    )  # fmt: skip
    return RunFolder.open(start(request, tmp_path).path)


def value(folder: RunFolder, name: str = "squeezing_x") -> float:
    assert folder.status == "finished", folder.stop_entry
    return float(folder.result[name]["value"])


@pytest.fixture(scope="module")
def bench() -> Any:
    with Bench.open(find_bench("cluster-microcomb"), "sim", seed=2) as opened:
        yield opened


def test_line_spacing_must_be_that_of_the_modes(tmp_path: Path) -> None:
    """200 kHz too much: mode 30 is 1.24 half linewidths off, mode 6 a fifth of that."""
    outer, inner = (
        [value(squeezed(tmp_path, pair=pair, rf_frequency=f)) for f in (25.0, 25.0002)]
        for pair in (30, 6)
    )
    assert outer[0] > 2.9
    assert inner[0] > 2.9
    assert outer[1] < outer[0] - 0.7
    assert inner[1] == pytest.approx(inner[0], abs=0.15)


def test_less_rf_power_makes_fewer_and_stronger_lines() -> None:
    world = MicrocombWorld(0)
    assert (world.filtered.comb.amplitudes() == 1.0).all()
    whole = float(np.sum(world.filtered.comb.amplitudes() ** 2))
    world.rf_source.power -= 6.0
    fewer = world.filtered.comb.amplitudes()
    assert fewer[35] ** 2 == pytest.approx(2, rel=0.05)  # half as many, twice as strong
    assert fewer[0] ** 2 < 1e-6
    assert (
        np.sum(fewer**2) < 1.15 * whole
    )  # the nominal comb reaches beyond the lines that are used
    world.rf_source.output = False
    alone = world.filtered.comb.amplitudes()
    assert alone[35] ** 2 == pytest.approx(77)
    assert np.delete(alone, 35).max() < 0.51 * alone[35]
    world.rf_source.power += 6.0
    world.rf_source.output = True
    assert (world.filtered.comb.amplitudes() == 1.0).all()


def test_a_line_beyond_the_comb_is_no_local_oscillator(tmp_path: Path) -> None:
    """3 dB less: the flat top ends at line 27, so 35 is 49 dB weaker; 20 hardly changes."""
    nominal, weak = (
        [RunFolder.open(squeezed(tmp_path, pair=pair, rf_power=dbm).path) for pair in (20, 35)]
        for dbm in (12.0, 9.0)
    )
    shot = [
        [float(folder.columns()["shot (mW)"][3]) for folder in folders]
        for folders in (nominal, weak)
    ]
    assert shot[1][0] == pytest.approx(shot[0][0] * 10**0.15, rel=0.05)
    assert shot[1][1] < 0.1 * shot[0][1]


def test_amplifier_sets_the_power_at_the_ring(tmp_path: Path) -> None:
    less = squeezed(tmp_path, amplifier_current=235.0)
    nominal = squeezed(tmp_path)
    assert value(less, "antisqueezing_x") < value(nominal, "antisqueezing_x") - 1.0
    more = squeezed(tmp_path, amplifier_current=300.0)
    assert more.status == "failed"
    reason = more.stop_entry["reason"]  # type: ignore[index]
    assert "above threshold with 17" in reason
    assert "dB more than calibrated" in reason
    assert "raise pump_attenuation by" in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("world", "options", "words"),
    [
        ({"comb_throughput": 1e-4}, {}, "amplifier: no input light (-27.0 dBm"),
        ({}, {"rf_power": 16.0}, "rf_source: power 16.0 dBm is outside the modulator's range"),
        ({}, {"rf_frequency": 9.0}, "rf_source: frequency 9000000000.0 Hz is outside the modul"),
        ({}, {"amplifier_current": 900.0}, "amplifier: current 900.0 mA is outside 0 to 500 mA"),
        ({}, {"chip_temperature": 80.0}, "chip: 80.0 degC is outside 15 to 45 degC"),
        ({}, {"chip_temperature": 30.0}, "interlock chip.temperature: 27."),
    ],
)
def test_impossible_light_is_refused_in_one_line(
    tmp_path: Path, world: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    folder = squeezed(tmp_path, world, **options)
    assert folder.status in ("failed", "aborted")
    reason = folder.stop_entry["reason"]  # type: ignore[index]
    assert words in reason
    assert "\n" not in reason
    assert len(folder.rows) == 0


def test_light_that_goes_out_stops_the_run_and_leaves_the_amplifier_off(tmp_path: Path) -> None:
    """Somebody closes the laser's shutter: the amplifier locks itself, the interlock says so."""
    bench = Bench.open(find_bench("cluster-microcomb"), "sim", seed=3)
    procedure = SqueezingSpectrum(**SHORT)
    inner = procedure.measure_point

    def measure_point(point: Any) -> Any:
        if point["kind"] == "x+x":
            bench.world.laser.laser_enabled = False
        return inner(point)

    procedure.measure_point = measure_point  # type: ignore[method-assign]
    with pytest.raises(InterlockTripped, match=r"amplifier.channel_status: 4, allowed 0 to 2"):
        run(procedure, bench, tmp_path)
    (folder,) = (RunFolder.open(path) for path in tmp_path.iterdir() if path.is_dir())
    assert folder.status == "aborted"
    amplifier = bench.world.amplifier
    assert not amplifier.active
    assert not amplifier.channel
    bench.close()


def test_a_run_follows_another_on_the_same_bench(tmp_path: Path, bench: Bench) -> None:
    """The first leaves amplifier and RF source off; the second switches them on again."""
    for name in ("one", "two"):
        rows = run(SqueezingSpectrum(**SHORT), bench, tmp_path / name, stop_after=4)
        assert rows[3]["shot (mW)"] > 10 * rows[0]["shot (mW)"]
        assert not bench.world.amplifier.active
        assert not bench.world.rf_source.output
        assert bench.world.chip.control.regulating  # a chip that is let go drifts for hours


def test_made_safe_against_the_light(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    order: list[str] = []
    for name, instrument in bench.instruments.items():
        monkeypatch.setattr(
            instrument, "make_safe", lambda name=name: order.append(name), raising=False
        )
    bench.make_safe()
    assert order.index("shaper") < order.index("amplifier") < order.index("rf_source")
    assert order.index("rf_source") < order.index("laser") < order.index("chip")


def test_settings_are_recorded(tmp_path: Path) -> None:
    folder = squeezed(tmp_path)
    opened = next(event for event in folder.events if event["entry"] == "opened")
    settings = opened["settings"]
    assert settings["rf_source"]["frequency"] == 25e9
    assert settings["rf_source"]["power"] == 12.0
    assert settings["rf_source"]["reference"] == "external"
    assert settings["amplifier"]["setpoint"] == 250.0
    assert settings["chip"]["target"] == 25.0


def test_the_resonance_moves_with_the_chip(tmp_path: Path) -> None:
    """0.3 K move it by -435 MHz; 1 % of that is left as detuning, 0.9 half linewidths.

    The laser's wavelength brings it back.
    """
    warm = squeezed(tmp_path, chip_temperature=25.3)
    followed = squeezed(
        tmp_path, chip_temperature=25.3, wavelength=299_792.458 / (193.4 - 0.3 * 1.45e-3)
    )
    nominal = squeezed(tmp_path)
    assert value(warm, "antisqueezing_x") < value(nominal, "antisqueezing_x") - 1.0
    assert value(followed, "antisqueezing_x") == pytest.approx(
        value(nominal, "antisqueezing_x"), abs=0.4
    )
    assert warm.times[-1] > nominal.times[-1] + 10  # it waited until the chip was stable


def test_lines_narrower_than_the_filter_resolves_are_refused(bench: Bench) -> None:
    shaper = bench["shaper"]
    shaper.clear()
    with pytest.raises(RequestError, match=r"10 GHz") as caught:
        shaper.set_band(193.4, 0.009)
    assert "\n" not in str(caught.value)
    shaper.clear()
    shaper.set_band(193.400, 0.025, port=1)
    shaper.set_band(193.408, 0.025, port=2)  # takes points from the first
    with pytest.raises(RequestError, match="overlapping bands leave only") as caught:
        shaper.load()
    assert "\n" not in str(caught.value)
    shaper.clear()
