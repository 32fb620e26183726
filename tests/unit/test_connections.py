"""What is connected to what, as a bench file says it."""

from __future__ import annotations

from pathlib import Path

import pytest
import toybench

from labctl import benchfile
from labctl.bench import shipped_benches
from labctl.errors import BenchFileError


def parse(connections: str) -> benchfile.BenchFile:
    text = toybench.BENCH.replace("[world]", f"connections = {connections}\n[world]")
    return benchfile.parse(text, Path("toy.toml"))


def test_instruments_and_parts_are_connected():
    file = parse('["heater>thermometer", " a b > thermometer : heat: a lot "]')
    assert file.connections == (
        benchfile.Connection("heater", "thermometer", ""),
        benchfile.Connection("a b", "thermometer", "heat: a lot"),
    )


@pytest.mark.parametrize("text", ["heater", "a >", "> b", "a > b > c", ": what"])
def test_what_is_no_connection_is_named_with_its_line(text):
    with pytest.raises(BenchFileError, match=r"toy.toml:\d+: connection .* must be written"):
        parse(f'["{text}"]')


@pytest.mark.parametrize("name", shipped_benches())
def test_shipped_benches_name_instruments_as_they_are(name):
    file = benchfile.load(shipped_benches()[name])
    ends = {end for c in file.connections for end in (c.source, c.target)}
    assert not file.connections or set(file.instruments) <= ends
