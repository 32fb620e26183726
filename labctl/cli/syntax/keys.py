"""The verbs of `labctl keys`."""

from __future__ import annotations

import argparse
from typing import Any

from labctl.cli.syntax.shared import AddCommand, function_of, json_option, runs_option


def add(command: AddCommand) -> None:
    keys = command(
        "keys", "keys:status", "Secret keys that runs have distilled: how many, or to applications."
    )
    verbs = keys.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, summary: str, **options: Any) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=summary, description=summary, **options)
        sub.set_defaults(call=function_of(f"keys:{name}"))
        sub.add_argument(
            "--store", metavar="DIR",
            help="the key store (default: $LABCTL_KEYS, else keystore in the folder of runs)",
        )  # fmt: skip
        runs_option(sub)
        return sub

    sub = verb("status", "What the key store holds, link by link; never a key itself.")
    json_option(sub)
    sub = verb(
        "serve",
        "Hand keys to applications over HTTPS (ETSI GS QKD 014), each one once.",
        epilog="An application (SAE) is the common name of its certificate. One at node A gets the "
        "keys of link A-B that it shares with an application at node B.",
    )
    for option, what in {
        "--certificate": "of this server, PEM",
        "--key": "of that certificate, PEM",
        "--ca": "certificate of the authority that signs those of applications, PEM",
    }.items():
        sub.add_argument(option, metavar="FILE", required=True, help=what)
    sub.add_argument(
        "--sae", action="append", default=[], metavar="NAME=NODE",
        help="node of an application; by default the node that has its name (repeatable)",
    )  # fmt: skip
    sub.add_argument("--node", default="", help="serve only applications at this node")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    sub.add_argument("--port", type=int, default=8443, help="default: 8443; 0: any that is free")
    sub.add_argument(
        "--key-size", type=int, default=256, metavar="BITS", help="unless asked (default: 256)"
    )
    sub.add_argument(
        "--simulated", action="store_true",
        help="hand out keys of simulated benches too, which are no secret",
    )  # fmt: skip
    sub.add_argument("--json", action="store_true", help="one JSON line when ready")
