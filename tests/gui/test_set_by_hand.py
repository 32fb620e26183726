"""What is typed beside a quantity of an instrument, as the process that holds it takes it."""

from __future__ import annotations

import pytest

from labctl.errors import LabError
from labctl.gui.processes.benchhost import Host


@pytest.fixture(scope="module")
def host():
    found = Host()
    found.connect("cluster-microcomb", "sim")
    yield found
    found.disconnect()


@pytest.mark.parametrize(
    ("text", "value"),
    [("1550.2", 1550.2), ("1550.2 nm", 1550.2), ("1.5502 um", 1550.2), ("2*775 + 0.2", 1550.2)],
)
def test_units_and_arithmetic_are_taken_as_in_the_form(host, text, value):
    assert host.set("laser", "wavelength", text)["value"] == pytest.approx(value)


@pytest.mark.parametrize("text", ["garbage", "", "5 mW", "1e9 nm", "1,5"])
def test_what_is_refused_is_said_in_words_and_changes_nothing(host, text):
    before = host.read("laser", "wavelength")
    with pytest.raises(LabError, match=r"laser.*wavelength") as caught:
        host.set("laser", "wavelength", text)
    assert "not supported between" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert host.read("laser", "wavelength") == before


def test_switches_take_words(host):
    assert host.set("laser", "piezo_enabled", "off")["value"] is False
    assert host.set("laser", "piezo_enabled", "on")["value"] is True
