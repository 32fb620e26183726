"""What can be said on the command line. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from labctl import __version__

EPILOG = """\
RUN is a run folder, its number, or "last". BENCH is a TOML file or the name of a shipped bench.
Exit codes: 0 finished; 1 failed; 2 wrong request; 3 aborted by user or interlock; 4 replay differs.
Start with:  labctl list  |  labctl run covariance-sweep --bench cluster-microcomb
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message:
            from labctl.errors import nearest

            wrong = message.split("invalid choice: ")[1].split("'")[1]
            known = [c for a in self._actions for c in (a.choices or ()) if isinstance(c, str)]
            option = message.partition(":")[0] + ": " if message.startswith("argument --") else ""
            hint = nearest(wrong, known) or f"; there are {', '.join(known)}"
            message = f"{option}unknown {wrong!r}{hint}"
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def _call(target: str) -> Callable[[Any], int]:
    """A function that imports "module:function" of this package only when it is called."""

    def call(arguments: Any) -> int:
        module, _, function = target.partition(":")
        return int(getattr(importlib.import_module(f"labctl.cli.{module}"), function)(arguments))

    return call


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="labctl",
        description="Run quantum-optics measurements: bench, simulators, or recordings.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"labctl {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, target: str, summary: str, **options: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, **options)
        sub.set_defaults(call=_call(target))
        return sub

    _looking(command)
    _running(command)
    _stored(command)
    _queue(command)
    _benches(command)
    _tags(command)
    _keys(command)
    sub = command("web", "webpage:serve", "A read-only page on loopback: state, figures, queue.")
    sub.add_argument("--port", type=int, default=8750, help="default: 8750; 0: any that is free")
    sub.add_argument("--json", action="store_true", help="one JSON line when ready")
    _runs_dir(sub)
    sub = command("gui", "window:open_window", "The procedure manager: a window on the same queue.")
    sub.add_argument("--bench", default="", metavar="BENCH", help="TOML file or shipped bench")
    sub.add_argument("--theme", choices=["dark", "light"], help="look (default: as it was last)")
    _runs_dir(sub)
    return parser


def _json(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _runs_dir(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--runs", metavar="DIR", help="folder of runs (default: $LABCTL_RUNS, else ./runs)"
    )


def _run_reference(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", metavar="RUN", help='run folder, number, or "last"')
    _runs_dir(sub)


def _looking(command: Callable[..., argparse.ArgumentParser]) -> None:
    sub = command("list", "looking:list_things", "What there is: procedures, benches, drivers.")
    sub.add_argument("what", nargs="?", choices=["procedures", "benches", "drivers"])
    _json(sub)
    sub = command(
        "describe",
        "looking:describe",
        "Parameters, columns and results of a procedure, or a bench.",
    )
    sub.add_argument("name", metavar="PROCEDURE|BENCH")
    _json(sub)
    command("doctor", "looking:doctor", "What is wrong with this installation.")
    sub = command(
        "plan-channels",
        "channels:plan_channels",
        "Fewest wavelength channels that connect every two users of a network.",
    )
    sub.add_argument("--users", type=int, required=True, metavar="N", help="2 to 30")
    sub.add_argument(
        "--pumps", default="0,10", metavar="P,Q[,R]",
        help="labels of the two or three pumps (default: 0,10); --pumps=-5,5 if one is negative",
    )  # fmt: skip
    _json(sub)


def add_request(sub: argparse.ArgumentParser) -> None:
    """The arguments of `run`, which `queue add` takes as well."""
    sub.add_argument(
        "procedure", metavar="PROCEDURE", help="a name, or their_module:TheirProcedure"
    )
    sub.add_argument("--bench", default="", metavar="BENCH", help="TOML file or shipped bench")
    sub.add_argument("--mode", choices=["real", "sim"], help="hardware or simulators")
    sub.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="parameters",
        help='a parameter, with or without unit: --set "span=500 MHz" (repeatable)',
    )  # fmt: skip
    sub.add_argument(
        "--world", action="append", default=[], metavar="NAME=VALUE",
        help="a parameter of the simulated world (repeatable)",
    )  # fmt: skip
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random")
    sub.add_argument("--title", default="", metavar="T", help="for the catalogue")
    sub.add_argument(
        "--fsync", type=float, metavar="MS",
        help="force rows to the disk every MS ms (survives power loss, slower)",
    )  # fmt: skip
    sub.add_argument("--no-record", action="store_true", help="do not keep the wire transcript")
    _runs_dir(sub)


def _running(command: Callable[..., argparse.ArgumentParser]) -> None:
    sub = command("run", "running:run", "Run a procedure and keep every datum.")
    add_request(sub)
    _json(sub)
    sub = command(
        "resume", "running:resume", "Finish an interrupted, aborted or failed run, each point once."
    )
    _run_reference(sub)
    _json(sub)
    for verb, summary in {
        "pause": "Pause a running run at its next yield point.",
        "continue": "Let a paused run go on.",
        "abort": "Abort a running run at its next yield point; the bench is made safe.",
    }.items():
        sub = command(verb, "running:control", summary)
        sub.set_defaults(verb=verb)
        _run_reference(sub)
        sub.add_argument("--reason", default="", metavar="TEXT")
    sub = command(
        "stop", "stopping:stop",
        "STOP ALL SAFE: end runs now and make their benches safe, even if a driver hangs.",
    )  # fmt: skip
    sub.add_argument("run", metavar="RUN", nargs="?", help="default: every run that goes on")
    sub.add_argument("--all", action="store_true", help="every run that goes on")
    sub.add_argument("--reason", default="", metavar="TEXT")
    _runs_dir(sub)
    sub = command(
        "replay", "running:replay", "Run a recorded run again and compare every value with it."
    )
    _run_reference(sub)
    sub.add_argument(
        "--mode", choices=["wire", "sim"], default="wire",
        help="answer from the recorded bytes, or from simulators (default: wire)",
    )  # fmt: skip
    _json(sub)
    sub = command(
        "analyse",
        "running:analyse",
        "Analyse recorded data again, as a new run that cites the old; or a covariance matrix.",
    )
    sub.add_argument("run", metavar="RUN", nargs="?", help='run folder, number, or "last"')
    _runs_dir(sub)
    sub.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="parameters",
        help="a parameter to change for the analysis (repeatable)",
    )  # fmt: skip
    sub.add_argument(
        "--matrix", metavar="FILE",
        help="instead of a run: a covariance matrix, CSV or .npy, from anywhere",
    )  # fmt: skip
    sub.add_argument(
        "--errors", metavar="FILE", help="standard errors of its elements, NaN if not measured"
    )
    sub.add_argument(
        "--order", choices=["blocked", "interleaved"], default="blocked",
        help="of its quadratures: x1..xN, p1..pN (default) or x1, p1, x2, p2, ...",
    )  # fmt: skip
    sub.add_argument(
        "--vacuum",
        type=float,
        choices=[1.0, 0.5, 0.25],
        default=1.0,
        help="variance of the vacuum in it (default: 1)",
    )
    _json(sub)


def _stored(command: Callable[..., argparse.ArgumentParser]) -> None:
    sub = command("runs", "stored:runs", "The catalogue of runs.")
    sub.add_argument("--procedure", metavar="P")
    sub.add_argument("--since", metavar="DATE", help="for example 2026-11-20")
    sub.add_argument("--search", metavar="TEXT", help="in titles, parameters, notes and results")
    _runs_dir(sub)
    _json(sub)
    sub = command("show", "stored:show", "Parameters, status, results and settings of a run.")
    _run_reference(sub)
    _json(sub)
    sub = command("plot", "stored:plot", "Draw the figures of a run.")
    _run_reference(sub)
    sub.add_argument("-o", "--output", metavar="FILE", help=".png, .svg, .pdf or .html")
    sub = command("export", "stored:export", "Export a run, lossless to the last bit.")
    _run_reference(sub)
    sub.add_argument(
        "--format", required=True, choices=["csv", "parquet", "hdf5", "netcdf"],
        help="csv opens in pymeasure",
    )  # fmt: skip
    sub.add_argument("-o", "--output", required=True, metavar="FILE")


def _queue(command: Callable[..., argparse.ArgumentParser]) -> None:
    queue = command("queue", "queueing:show", "The persistent queue of runs.")
    queue.set_defaults(call=_call("queueing:show"))
    _runs_dir(queue)
    _json(queue)
    verbs = queue.add_subparsers(title="verbs", metavar="VERB")

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=summary, description=summary)
        sub.set_defaults(call=_call(f"queueing:{name if name != 'list' else 'show'}"))
        return sub

    sub = verb("add", "Check a request and queue it.")
    add_request(sub)
    _policy(sub)
    sub = verb("resume", "Queue the rest of an unfinished run, as the next item.")
    _run_reference(sub)
    _policy(sub)
    sub = verb("edit", "Change what a waiting item runs, or when.")
    sub.add_argument("item", type=int, metavar="ITEM")
    sub.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="parameters",
        help="a parameter to change (repeatable)",
    )  # fmt: skip
    sub.add_argument("--title", metavar="T")
    _policy(sub)
    _runs_dir(sub)
    sub = verb("duplicate", "Queue the same again, behind it.")
    sub.add_argument("item", type=int, metavar="ITEM")
    _runs_dir(sub)
    sub = verb("list", "What waits, runs and ran.")
    _runs_dir(sub)
    _json(sub)
    sub = verb("move", "Move an item to another place among those that wait.")
    sub.add_argument("item", type=int, metavar="ITEM")
    sub.add_argument("place", type=int, metavar="PLACE", help="1 is next")
    _runs_dir(sub)
    sub = verb("remove", "Take an item out of the queue.")
    sub.add_argument("item", type=int, metavar="ITEM")
    _runs_dir(sub)
    _runs_dir(verb("halt", "Let the run that goes on now finish, and begin no other."))
    sub = verb("run", "Work the queue off, in this process.")
    sub.add_argument(
        "--stop-on-failure", action="store_true", help="leave the rest after a failure"
    )
    _runs_dir(sub)


def _policy(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--at", metavar="TIME", help='not before: "22:30", "2026-11-21 08:00", or in "90 min"'
    )
    sub.add_argument(
        "--on-failure", choices=["skip", "stop", "retry"],
        help="go on (default), stop the queue, or resume the run; an abort is no failure",
    )  # fmt: skip
    sub.add_argument("--retries", type=int, metavar="N", help="how often at most (default: 1)")


def _benches(command: Callable[..., argparse.ArgumentParser]) -> None:
    sub = command("check", "benching:check", "Connect, identify, read interlocks, make safe.")
    sub.add_argument("bench", metavar="BENCH")
    sub.add_argument("--mode", choices=["real", "sim"])
    _json(sub)
    sub = command("serve", "benching:serve", "Offer every simulator of a bench on sockets.")
    sub.add_argument("bench", metavar="BENCH")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    sub.add_argument(
        "--pace", type=float, default=1.0, metavar="X",
        help="simulated seconds per real second; 0: time moves only through the time port",
    )  # fmt: skip
    sub.add_argument("--world", action="append", default=[], metavar="NAME=VALUE")
    sub.add_argument("--seed", type=int, default=0, metavar="N")
    sub.add_argument("--json", action="store_true", help="one JSON line per endpoint, then ready")


_TAG_FILES = """\
FILE is a PicoQuant .ptu (T2 or T3), an ID900 .bin or .txt (channel from the name: tags_C2.bin), a
Becker & Hickl .spc with its .set beside it, an Arrow stream with columns "channel" and "time (ps)",
or a run (folder, number or "last") that has recorded tags, or one stream of it
(RUN/tags/NAME.arrows). Times have units: 100ps, 2.5ns, 1us; a bare number is in ps.
"""


def _tags(command: Callable[..., argparse.ArgumentParser]) -> None:
    tags = command("tags", "tags:info", "Time tags in files and runs: look, convert, correlate.")
    verbs = tags.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, module: str, summary: str, examples: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(
            name, help=summary, description=summary, epilog=_TAG_FILES + "\n" + examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        sub.set_defaults(call=_call(f"{module}:{name}"))
        sub.add_argument("files", nargs="+", metavar="FILE", help="file or run, see below")
        sub.add_argument(
            "--partial", action="store_true", help="of a damaged file, use what comes before it"
        )
        sub.add_argument(
            "--reference", default="0", metavar="TIME",
            help="between reference pulses of an ID900, if its times count from those",
        )  # fmt: skip
        _runs_dir(sub)
        _json(sub)
        return sub

    sub = verb(
        "info", "tags", "Format, channels, counts, rates and what is odd about a file.",
        "labctl tags info recording.ptu\nlabctl tags info last --json",
    )  # fmt: skip
    sub.add_argument("--header", action="store_true", help="print every entry of the header")
    sub = verb(
        "convert", "tagconvert", "Write tags as PicoQuant PTU, Arrow stream or CSV.",
        "labctl tags convert timestamps_C1.bin -o c1.ptu\nlabctl tags convert last -o run.ptu",
    )  # fmt: skip
    sub.add_argument("-o", "--output", required=True, metavar="FILE", help=".ptu, .arrows or .csv")
    sub.add_argument("--sort", action="store_true", help="sort by time, in memory")
    sub = verb(
        "correlate", "tagcorrelate",
        "Histogram of delays between two channels, and coincidences at its peak.",
        "labctl tags correlate recording.ptu --start 0 --stop 1 --bin 50ps -o g2.png\n"
        "labctl tags correlate tags_C1.bin tags_C2.bin --max-delay 1us\n"
        "labctl tags correlate last --start alice:1 --stop bob:3",
    )  # fmt: skip
    for option in ("--start", "--stop"):
        sub.add_argument(
            option, metavar="[NAME:]CHANNEL",
            help="a number, or sync (T2); NAME is a file without ending, or a stream; not needed "
            "if there are only two channels",
        )  # fmt: skip
    sub.add_argument("--bin", default="100ps", metavar="TIME", help="default: 100ps")
    sub.add_argument("--max-delay", default="10ns", metavar="TIME", help="default: 10ns")
    sub.add_argument(
        "--window", default="1ns", metavar="TIME", help="whole width around the peak (default: 1ns)"
    )
    sub.add_argument("--sort", action="store_true", help="sort by time, in memory")
    sub.add_argument("-o", "--output", metavar="FILE", help="the plot: .png, .svg, .pdf or .html")


def _keys(command: Callable[..., argparse.ArgumentParser]) -> None:
    keys = command(
        "keys", "keys:status", "Secret keys that runs have distilled: how many, or to applications."
    )
    verbs = keys.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, summary: str, **options: Any) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=summary, description=summary, **options)
        sub.set_defaults(call=_call(f"keys:{name}"))
        sub.add_argument(
            "--store", metavar="DIR",
            help="the key store (default: $LABCTL_KEYS, else keystore in the folder of runs)",
        )  # fmt: skip
        _runs_dir(sub)
        return sub

    sub = verb("status", "What the key store holds, link by link; never a key itself.")
    _json(sub)
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
