"""Bench files of served simulators, and what a run over them is compared by."""

from __future__ import annotations

import re

from simulated_instruments.server import address_of


def measured(folder):
    """Rows, arrays and the transcript with every byte and its time."""
    rows = list(folder.rows)
    traces = [
        folder.trace(column, row["index"]).tolist()
        for column in folder.start["traces"]
        for row in rows
    ]
    wire = (folder.path / "wire.jsonl").read_text(encoding="utf-8").splitlines()
    return rows, folder.times.tolist(), traces, wire


def served(text, addresses):
    """The bench file with the addresses of a server, and its clock."""
    clock = address_of(addresses, "clock").replace("tcp://", "stepped://")
    text = re.sub(r"(?m)^mode = .*\n", "", text)
    text = text.replace("[bench]\n", f'[bench]\nclock = "{clock}"\n', 1)
    for name in {entry["instrument"] for entry in addresses} - {"clock"}:
        address = address_of(addresses, name)
        text = re.sub(
            rf'(?s)(\[instruments\.{name}\].*?\naddress = )"[^"]*"',
            rf'\1"{address}"',
            text,
            count=1,
        )
    return text
