"""`labctl web`: a page to look at from a phone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
from typing import Any

from labctl.cli.arguments import runs_dir
from labctl.errors import RequestError

TOKEN = "LABCTL_WEB_TOKEN"


def serve(arguments: Any) -> int:
    """Show the folder of runs until interrupted."""
    from labctl.web.server import WebServer
    from labctl.web.state import View

    if not 0 <= arguments.port < 65536:
        raise RequestError(f"--port {arguments.port}: must be from 0 to 65535")
    token = os.environ.get(TOKEN, "")
    if token and not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", token):
        raise RequestError(f"${TOKEN} must be 16 to 200 letters, digits, '-' or '_'")
    folder = runs_dir(arguments)
    server = WebServer(View(folder), token or secrets.token_urlsafe(24), arguments.port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        if arguments.json:
            line = {"address": server.address, "runs": str(folder), "ready": True}
            print(json.dumps(line), flush=True)
        else:
            print(f"{folder} at {server.address}")
            print("who knows this address may look; Ctrl-C ends", flush=True)
        server.serve()
    return 0
