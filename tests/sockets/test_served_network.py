"""Keys of the entanglement network over sockets: nineteen instruments, tags over ZeroMQ."""

from __future__ import annotations

import re
from pathlib import Path

from steppedbench import measured, served

from labctl import benchfile
from labctl.bench import find_bench, simulators
from labctl.run import runner
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from simulated_instruments.server import serving


def with_ports(text: str, addresses: list[dict[str, str]]) -> str:
    """The bench file with the addresses of a server, those of the taggers' ports too."""
    text = served(text, addresses)
    for name in (f"tagger_{user}" for user in "abcd"):
        ports = {e["port"]: e["address"] for e in addresses if e["instrument"] == name}
        main = ports.pop("scpi")
        table = ", ".join(f'{port} = "{address}"' for port, address in ports.items())
        text = re.sub(
            rf'(?s)(\[instruments\.{name}\].*?\naddress = )"[^"]*"(.*?)\nsettings = [^\n]*',
            rf'\1"{main}"\2\nports = {{ {table} }}',
            text,
            count=1,
        )
    return text


def test_keys_over_sockets(tmp_path: Path) -> None:
    file = benchfile.parse(find_bench("entanglement-network").text, tmp_path / "bench.toml")
    options = {"duration": "0.5", "keys": "false"}
    folders = []
    with serving(simulators(file, 7, {}), pace=0) as addresses:
        file.path.write_text(with_ports(file.text, addresses), encoding="utf-8")
        for mode in ("real", "sim"):
            request = Request("bbm92-network", options, str(file.path), mode=mode, seed=7)
            outcome = runner.start(request, tmp_path / "runs")
            assert outcome.status == "finished", outcome.reason
            folders.append(RunFolder.open(outcome.path))
    over_sockets, inside = folders
    assert len(inside.rows) == 1
    assert inside.columns()["clicks A"][0] > 60_000
    assert measured(over_sockets) == measured(inside)
