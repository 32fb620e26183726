"""Commands about benches: check one, serve its simulators."""

from __future__ import annotations

from labctl.cli.syntax.shared import AddCommand, json_option, world_options


def add(command: AddCommand) -> None:
    sub = command("check", "benching:check", "Connect, identify, read interlocks, make safe.")
    sub.add_argument("bench", metavar="BENCH", help="TOML file or shipped bench")
    sub.add_argument("--mode", choices=["real", "sim"], help="hardware or simulators")
    json_option(sub)
    sub = command("serve", "benching:serve", "Offer every simulator of a bench on sockets.")
    sub.add_argument("bench", metavar="BENCH", help="TOML file or shipped bench")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    sub.add_argument(
        "--pace", type=float, default=1.0, metavar="X",
        help="simulated seconds per real second; 0: time moves only through the time port",
    )  # fmt: skip
    world_options(sub)
    sub.add_argument("--json", action="store_true", help="one JSON line per endpoint, then ready")
