"""Commands that show a folder of runs as it changes: the window, and a page for a phone."""

from __future__ import annotations

from labctl.cli.syntax.shared import AddCommand, runs_option


def add(command: AddCommand) -> None:
    sub = command("web", "webpage:serve", "A read-only page on loopback: state, figures, queue.")
    sub.add_argument("--port", type=int, default=8750, help="default: 8750; 0: any that is free")
    sub.add_argument("--json", action="store_true", help="one JSON line when ready")
    runs_option(sub)
    sub = command("gui", "window:open_window", "The procedure manager: a window on the same queue.")
    sub.add_argument("--bench", default="", metavar="BENCH", help="TOML file or shipped bench")
    sub.add_argument("--theme", choices=["dark", "light"], help="look (default: as it was last)")
    runs_option(sub)
