"""The command line. Importing it is cheap: each command imports what it needs when it runs."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Sequence

from labctl.errors import LabError

#: What the system says of a place that nobody can use: the request was wrong.
NAMED_WRONGLY = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.ENOTDIR, errno.EISDIR)


def plainly(error: UnicodeError) -> tuple[str, int]:
    """Replace what an output cannot show: the signs of quantities by their names, else by codes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    for sign, name in (("°", "deg"), ("±", "+-"), ("µ", "u"), ("–", "-")):
        part = part.replace(sign, name)
    return part.encode(error.encoding, "backslashreplace").decode(error.encoding), error.end


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on standard error."""
    if sys.stdout is None or sys.stderr is None:  # closed with >&-, or pythonw
        from labctl.cli.console import have_streams

        have_streams()
    for stream in (sys.stdout, sys.stderr):  # a pipe may know fewer characters than a title
        if isinstance(stream, io.TextIOWrapper):
            codecs.register_error("plainly", plainly)
            stream.reconfigure(errors="plainly")
    try:
        from labctl.cli.parser import build_parser

        arguments = build_parser().parse_args(argv)
        code = int(arguments.call(arguments) or 0)
        sys.stdout.flush()
        return code
    except LabError as error:
        print(f"labctl: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("labctl: interrupted", file=sys.stderr)
        return 3
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        from labctl.cli.console import drop_stdout

        drop_stdout()
        return 0
    except ImportError as error:
        print(f"labctl: {error}; run labctl doctor", file=sys.stderr)
        return 1
    except OSError as error:
        place = str(error.filename or "input or output")
        print(f"labctl: {place[:200]}: {error.strerror or error}", file=sys.stderr)
        return 2 if error.errno in NAMED_WRONGLY else 1
    except Exception as error:  # a fault of ours: still one line, and how to see more
        if os.environ.get("LABCTL_DEBUG"):
            raise
        print(
            f"labctl: internal error: {type(error).__name__}: {error}".replace("\n", " ")
            + "; set LABCTL_DEBUG=1 to see where",
            file=sys.stderr,
        )
        return 1


def script() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
