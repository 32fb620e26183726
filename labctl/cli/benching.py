"""Commands on a bench: check and serve."""

from __future__ import annotations

import json
import sys
from typing import Any

from labctl.cli.arguments import assignments, print_json
from labctl.errors import LabError, RequestError
from labctl.units import unit_text


def check(arguments: Any) -> int:
    """Try every instrument, also after one has failed; exit code 1 if any did."""
    from labctl.bench import find_bench, resolve_mode
    from labctl.run.remarks import remarked

    file = find_bench(arguments.bench)
    mode = resolve_mode(file, arguments.mode)
    rows: list[dict[str, Any]] = []
    for name in file.instruments:
        remarks: list[str] = []
        with remarked(remarks.append):
            rows.append({"instrument": name, **_one(file, mode, name), "remarks": remarks})
    locks = _interlocks(file, mode) if all(row["ok"] for row in rows) else []
    good = all(row["ok"] for row in rows) and all(lock["ok"] for lock in locks)
    if arguments.json:
        print_json({"bench": file.name, "mode": mode, "ok": good, "instruments": rows,
                    "interlocks": locks})  # fmt: skip
    else:
        for row in rows:
            text = row["error"] or row["identity"]
            print(f"{'ok ' if row['ok'] else 'BAD'}  {row['instrument']}: {text}")
            for remark in row["remarks"]:
                print(f"     {remark}")
        for lock in locks:
            print(f"{'ok ' if lock['ok'] else 'BAD'}  interlock {lock['read']}: {lock['text']}")
    if not good:
        failed = [r["instrument"] for r in rows if not r["ok"]] + [
            lock["read"] for lock in locks if not lock["ok"]
        ]
        print(f"labctl: {file.name}: not ready: {', '.join(failed)}", file=sys.stderr)
    return 0 if good else 1


def _one(file: Any, mode: str, name: str) -> dict[str, Any]:
    """Open one instrument, identify it and make it safe."""
    from labctl.bench import Bench

    row: dict[str, Any] = {"ok": False, "identity": None, "error": None}
    try:
        bench = Bench.open(_without_interlocks(file), mode, only=(name,))
    except LabError as error:
        return row | {"error": str(error).removeprefix(f"{name}: ")}
    try:
        bench.make_safe()
    except LabError as error:
        return row | {"error": str(error)}
    finally:
        bench.close()
    return row | {"ok": True, "identity": bench.identities[name]}


def _without_interlocks(file: Any) -> Any:
    from dataclasses import replace

    return replace(file, interlocks=())


def _interlocks(file: Any, mode: str) -> list[dict[str, Any]]:
    from labctl.bench import Bench

    rows = []
    with Bench.open(file, mode) as bench:
        for interlock in bench.interlocks():
            try:
                text, good = f"{interlock.check():g} {unit_text(interlock.unit)}".rstrip(), True
            except LabError as error:
                text, good = str(error), False
            rows.append({"read": interlock.name, "ok": good, "text": text})
    return rows


def serve(arguments: Any) -> int:
    """Offer the simulators until interrupted."""
    from labctl.bench import find_bench, load_target, simulators, world_values

    if arguments.seed < 0:
        raise RequestError(f"--seed {arguments.seed} must not be negative")
    if not 0 <= arguments.pace < float("inf"):
        raise RequestError(f"--pace {arguments.pace} must be 0 or a positive number")
    file = find_bench(arguments.bench)
    world = world_values(file, assignments(arguments.world, "--world"))
    instruments = simulators(file, arguments.seed, world)
    target = "simulated_instruments.server:Server"
    faults = {name: entry.faults for name, entry in file.instruments.items() if entry.faults}
    try:
        server = load_target(target, "server", file, "bench")(
            instruments, host=arguments.host, pace=arguments.pace, faults=faults
        )
    except ValueError as error:
        raise RequestError(str(error)) from None
    addresses = server.addresses()

    def announce() -> None:
        if arguments.json:
            for address in [*addresses, {"ready": True}]:
                print(json.dumps(address), flush=True)
            return
        width = max(len(a["instrument"]) for a in addresses)
        for address in addresses:
            print(
                f"{address['instrument']:<{width}}  {address['protocol']:<16}  {address['address']}"
            )
        print("serving until interrupted (Ctrl-C)", flush=True)

    server.serve_forever(ready=announce)
    return 0
