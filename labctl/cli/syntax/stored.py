"""Commands about runs that are stored: list, show, draw, export."""

from __future__ import annotations

from labctl.cli.syntax.shared import AddCommand, json_option, run_argument, runs_option


def add(command: AddCommand) -> None:
    sub = command("runs", "stored:runs", "The catalogue of runs.")
    sub.add_argument("--procedure", metavar="P", help="only runs of this procedure")
    sub.add_argument("--since", metavar="DATE", help="for example 2026-11-20")
    sub.add_argument(
        "--search", metavar="TEXT",
        help="words in titles, parameters, notes and results, and comparisons, with a unit or in "
        "that of each run: --search \"alignment power>5 mW pair=16 is:finished\"",
    )  # fmt: skip
    runs_option(sub)
    json_option(sub)
    sub = command("show", "stored:show", "Parameters, status, results and settings of a run.")
    run_argument(sub)
    json_option(sub)
    sub = command("plot", "stored:plot", "Draw the figures of a run.")
    run_argument(sub)
    sub.add_argument("-o", "--output", metavar="FILE", help=".png, .svg, .pdf or .html")
    sub = command("export", "stored:export", "Export a run, lossless to the last bit.")
    run_argument(sub)
    sub.add_argument(
        "--format", required=True, choices=["csv", "parquet", "hdf5", "netcdf"],
        help="csv opens in pymeasure",
    )  # fmt: skip
    sub.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write")
