"""Commands that measure, and those that control, repeat or analyse a run."""

from __future__ import annotations

from labctl.cli.syntax.shared import (
    AddCommand,
    json_option,
    request_arguments,
    run_argument,
    runs_option,
)


def add(command: AddCommand) -> None:
    sub = command("run", "running:run", "Run a procedure and keep every datum.")
    request_arguments(sub)
    json_option(sub)
    sub = command(
        "resume", "running:resume", "Finish an interrupted, aborted or failed run, each point once."
    )
    run_argument(sub)
    json_option(sub)
    for verb, summary in {
        "pause": "Pause a running run at its next yield point.",
        "continue": "Let a paused run go on.",
        "abort": "Abort a running run at its next yield point; the bench is made safe.",
    }.items():
        sub = command(verb, "running:control", summary)
        sub.set_defaults(verb=verb)
        run_argument(sub)
        sub.add_argument("--reason", default="", metavar="TEXT", help="noted in the run")
    sub = command(
        "stop", "stopping:stop",
        "STOP ALL SAFE: end runs now and make their benches safe, even if a driver hangs.",
    )  # fmt: skip
    sub.add_argument("run", metavar="RUN", nargs="?", help="default: every run that goes on")
    sub.add_argument("--all", action="store_true", help="every run that goes on")
    sub.add_argument(
        "--bench", default="", metavar="BENCH", help="if none goes on, make this bench safe"
    )
    sub.add_argument("--mode", choices=["real", "sim"], help="of the bench")
    sub.add_argument("--reason", default="", metavar="TEXT", help="noted in the run")
    runs_option(sub)
    sub = command(
        "replay", "running:replay", "Run a recorded run again and compare every value with it."
    )
    run_argument(sub)
    sub.add_argument(
        "--mode", choices=["wire", "sim"], default="wire",
        help="answer from the recorded bytes, or from simulators (default: wire)",
    )  # fmt: skip
    json_option(sub)
    sub = command(
        "analyse",
        "running:analyse",
        "Analyse recorded data again, as a new run that cites the old; or a covariance matrix.",
    )
    sub.add_argument("run", metavar="RUN", nargs="?", help='run folder, number, or "last"')
    runs_option(sub)
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
    json_option(sub)
