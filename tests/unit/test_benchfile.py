"""Bench files: a typo is answered with file, line, key and the nearest word."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl import benchfile
from labctl.bench import find_bench, resolve_mode
from labctl.errors import BenchFileError, RequestError

GOOD = """\
[bench]
title = "A bench"

[world]
class = "simulated_instruments.world:World"

[instruments.laser]
driver = "drivers.laser:Laser"
address = "tcp://laser:1998"
simulator = "simulated_instruments.laser:SimLaser"
timeout = 3

[instruments.laser.settings]
gain = 2.0

[[interlocks]]
read = "laser.power"
max = 30
period = 2.5
"""


def parse(text):
    return benchfile.parse(text, Path("my.toml"))


def test_a_good_file():
    file = parse(GOOD)
    laser = file.instruments["laser"]
    assert (file.name, file.title, file.mode) == ("my", "A bench", "")
    assert (laser.driver, laser.timeout, laser.settings) == (
        "drivers.laser:Laser", 3.0, {"gain": 2.0},
    )  # fmt: skip
    (interlock,) = file.interlocks
    assert (interlock.minimum, interlock.maximum, interlock.period) == (-float("inf"), 30.0, 2.5)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("title =", "titel =", "my.toml:2: unknown key 'titel' in the table [bench], did you mean 'title'?"),
        ("driver =", "drvier =", "my.toml:8: unknown key 'drvier'"),
        ('driver = "drivers.laser:Laser"\n', "", "my.toml:7: instrument 'laser' has no driver"),
        ("drivers.laser:Laser", "drivers.laser", "my.toml:8: driver = 'drivers.laser' must be written"),
        ("timeout = 3", "timeout = -3", "my.toml:11: timeout = -3.0 must be a positive number"),
        ("timeout = 3", 'timeout = "3"', "my.toml:11: timeout = '3' must be a number"),
        ("timeout = 3", "timeout = nan", "my.toml:11: timeout"),
        ("laser.power", "lasre.power", "my.toml:17: interlock reads unknown instrument 'lasre', did you mean 'laser'?"),
        ("laser.power", "laser", "my.toml:17: read = 'laser' must be written"),
        ("max = 30", "max = 30\nmin = 31", "my.toml:19: interlock laser.power: min 31.0 must be below max"),
        ("max = 30", "maximum = 30", "my.toml:18: unknown key 'maximum'"),
        ("[[interlocks]]", "[interlocks]", "my.toml:16: interlocks are written [[interlocks]]"),
        ("[instruments.", "[instrument.", "my.toml:7: unknown key 'instrument'"),
        ("[bench]", '[bench]\nmode = "simulated"', "my.toml:2: mode = 'simulated' must be 'real' or 'sim'"),
        ("[bench]", "[bench", "my.toml: not valid TOML"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(old, new, complaint):
    with pytest.raises(BenchFileError) as caught:
        parse(GOOD.replace(old, new))
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_and_an_unknown_name(tmp_path):
    with pytest.raises(BenchFileError, match="cannot read the bench file"):
        find_bench(str(tmp_path / "none.toml"))
    with pytest.raises(RequestError, match="did you mean 'cluster-microcomb'"):
        find_bench("cluster-microcom")


def test_a_file_must_say_its_mode_or_be_told(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(GOOD, encoding="utf-8")
    file = find_bench(str(path))
    with pytest.raises(RequestError, match="say --mode real or --mode sim"):
        resolve_mode(file, None)
    assert resolve_mode(file, "real") == "real"
    assert resolve_mode(find_bench("cluster-microcomb"), None) == "sim"


def test_not_utf8(tmp_path):
    path = tmp_path / "my.toml"
    path.write_bytes(b"[bench]\ntitle = '\xff'\n")
    with pytest.raises(BenchFileError, match="cannot read the bench file"):
        find_bench(str(path))


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert find_bench(str(path)).title == "A bench"
