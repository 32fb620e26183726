"""`labctl keys serve` and `labctl keys status`: secret keys for applications."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from labctl.cli.arguments import assignments, print_json, runs_dir
from labctl.errors import RequestError
from labctl.keys.ledger import nodes_of
from labctl.keys.store import KeyStore, default_store


def _store(arguments: Any) -> KeyStore:
    if arguments.store:
        return KeyStore(arguments.store)
    return KeyStore(default_store(runs_dir(arguments)))


def status(arguments: Any) -> int:
    store = _store(arguments)
    links: dict[tuple[str, bool], dict[str, Any]] = {}
    for block in store.blocks():
        link = links.setdefault(
            (block.link, block.simulated),
            {
                "link": block.link, "nodes": list(nodes_of(block.link)),
                "simulated": block.simulated, "blocks": 0, "delivered_bits": 0, "given_bits": 0,
                "left_bits": 0, "first": block.time, "last": block.time,
            },
        )  # fmt: skip
        link["blocks"] += 1
        link["delivered_bits"] += 8 * block.size
        link["given_bits"] += 8 * block.given
        link["left_bits"] += 8 * (block.size - block.given)
        link["last"] = block.time
    if arguments.json:
        print_json({"store": str(store.folder), "links": list(links.values())})
        return 0
    if not links:
        print(f"{store.folder}: no keys; runs that distil some put them here")
        return 0
    from rich.table import Table

    from labctl.cli.console import console

    table = Table(box=None, pad_edge=False, header_style="bold", title=str(store.folder))
    table.title_justify = "left"
    for column in ("link", "from", "blocks", "delivered", "handed out", "left (bit)", "last"):
        right = column not in ("link", "from", "last")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for link in links.values():
        table.add_row(
            link["link"], "simulation" if link["simulated"] else "bench", str(link["blocks"]),
            *(f"{link[f'{what}_bits']:,}" for what in ("delivered", "given", "left")),
            link["last"][:19].replace("T", " "),
        )  # fmt: skip
    console(one_line_per_row=True).print(table)
    return 0


def serve(arguments: Any) -> int:
    from labctl.keys.manager import KeyManager, Limits
    from labctl.keys.server import KeyServer, tls_context

    store = _store(arguments)
    applications = assignments(arguments.sae, "--sae")
    for name, node in applications.items():
        if not node or "-" in node or ":" in node:
            raise RequestError(f"--sae {name}={node}: a node's name is not empty and has no - or :")
    if not 0 <= arguments.port < 65536:
        raise RequestError(f"--port {arguments.port}: must be from 0 to 65535")
    context = tls_context(*(Path(p) for p in (arguments.certificate, arguments.key, arguments.ca)))
    blocks = store.blocks()  # a damaged store is refused before anybody is told to come
    manager = KeyManager(
        store, applications, arguments.node, Limits(arguments.key_size), arguments.simulated
    )
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.INFO)
    server = KeyServer(manager, context, arguments.host, arguments.port)
    host, port = server.listens_on
    url = f"https://{f'[{host}]' if ':' in host else host}:{port}/api/v1/keys"
    unserved = 0 if arguments.simulated else sum(b.size - b.given for b in blocks if b.simulated)
    if arguments.json:
        line = {"address": url, "store": str(store.folder), "ready": True}
        print(json.dumps(line), flush=True)
    else:
        print(f"keys of {store.folder} at {url} for applications with a certificate; Ctrl-C ends")
        if unserved:
            print(f"{8 * unserved:,} bits come from simulations and are kept back (--simulated)")
        sys.stdout.flush()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve()
    return 0
