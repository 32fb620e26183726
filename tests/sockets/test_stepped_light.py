"""The same session in-process and over sockets with stepped time: calls, frames, a second port."""

from __future__ import annotations

import re

import lightbench

from labctl import benchfile
from labctl.bench import Bench, simulators
from simulated_instruments.server import address_of, serving


def test_all_of_them_over_sockets(tmp_path):
    file = benchfile.parse(lightbench.BENCH, tmp_path / "light.toml")
    with Bench.open(file, "sim", seed=4) as bench:
        inside = [lightbench.ask(bench, index) for index in range(2)]
        ended = bench.clock.now()
    with serving(simulators(file, 4, {}), pace=0) as addresses:
        clock = address_of(addresses, "clock").replace("tcp://", "stepped://")
        text = lightbench.BENCH.replace("[bench]\n", f'[bench]\nclock = "{clock}"\n')
        for name in lightbench.NAMES:
            text = re.sub(
                rf'(?s)(\[instruments\.{name}\].*?\naddress = )"[^"]*"',
                rf'\1"{address_of(addresses, name)}"',
                text,
                count=1,
            )
        ports = f'ports = {{ binary = "{address_of(addresses, "pulses", "binary")}" }}\n'
        text = text.replace("[instruments.pulses]\n", f"[instruments.pulses]\n{ports}")
        served = benchfile.parse(text, tmp_path / "served.toml")
        with Bench.open(served, "real") as bench:
            outside = [lightbench.ask(bench, index) for index in range(2)]
            assert bench.clock.now() == ended
    assert outside == inside
