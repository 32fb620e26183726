"""`labctl analyse --matrix FILE`: what a covariance matrix from anywhere says.

The one command that is nothing but analysis; it needs no bench, no run and no procedure.
"""

from __future__ import annotations

from typing import Any

from labctl.cli.arguments import print_json
from labctl.errors import RequestError


def analyse_matrix(arguments: Any) -> int:
    from labctl.analysis.gaussian.matrixfile import matrix_report, read_matrix, report_lines

    if arguments.run or arguments.parameters:
        raise RequestError("--matrix analyses a file alone; leave out RUN and --set")
    try:
        matrix = read_matrix(arguments.matrix)
        errors = read_matrix(arguments.errors) if arguments.errors else None
    except ValueError as error:
        raise RequestError(str(error)) from None
    try:
        report = matrix_report(matrix, errors, arguments.order, arguments.vacuum)
    except ValueError as error:
        raise RequestError(f"{arguments.matrix}: {error}") from None
    if arguments.json:
        print_json({"matrix": str(arguments.matrix), **report})
    else:
        print("\n".join(report_lines(report)))
    return 0
