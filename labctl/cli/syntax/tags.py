"""The verbs of `labctl tags`."""

from __future__ import annotations

import argparse

from labctl.cli.syntax.shared import AddCommand, function_of, json_option, runs_option

_TAG_FILES = """\
FILE is a PicoQuant .ptu (T2 or T3), an ID900 .bin or .txt (channel from the name: tags_C2.bin), a
Becker & Hickl .spc with its .set beside it, an Arrow stream with columns "channel" and "time (ps)",
or a run (folder, number or "last") that has recorded tags, or one stream of it
(RUN/tags/NAME.arrows). Times have units: 100ps, 2.5ns, 1us; a bare number is in ps.
"""


def add(command: AddCommand) -> None:
    tags = command("tags", "tags:info", "Time tags in files and runs: look, convert, correlate.")
    verbs = tags.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, module: str, summary: str, examples: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(
            name, help=summary, description=summary, epilog=_TAG_FILES + "\n" + examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        sub.set_defaults(call=function_of(f"{module}:{name}"))
        sub.add_argument("files", nargs="+", metavar="FILE", help="file or run, see below")
        sub.add_argument(
            "--partial", action="store_true", help="of a damaged file, use what comes before it"
        )
        sub.add_argument(
            "--reference", default="0", metavar="TIME",
            help="between reference pulses of an ID900, if its times count from those",
        )  # fmt: skip
        runs_option(sub)
        json_option(sub)
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
