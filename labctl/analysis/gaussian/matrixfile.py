"""Other groups' covariance matrices: read one from a file, recognise its convention, report on it.

Our convention is x1..xN, p1..pN with vacuum variance 1, physical if V + i Omega >= 0. Others order
x1, p1, x2, p2, ... and set the vacuum to 1/2 or 1/4. A matrix in the wrong convention usually
violates the uncertainty relation, which tells; multiplying a physical matrix by a number above 1
leaves it physical, so a vacuum that is taken too small is not noticed.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.arguments import Array
from labctl.analysis.gaussian.certificate import certify_inseparability
from labctl.analysis.gaussian.checks import ASYMMETRY, UNPHYSICAL, form
from labctl.analysis.gaussian.homodyne import align_phases
from labctl.analysis.gaussian.metrology import displacement_qfi
from labctl.analysis.gaussian.ppt import ppt_values
from labctl.analysis.gaussian.symplectic import nearest_physical, symplectic_eigenvalues

ORDERS = {"blocked": "x1..xN, p1..pN", "interleaved": "x1, p1, x2, p2, ..."}
VACUA = (1.0, 0.5, 0.25)
#: Noise of a measurement may make V + i Omega negative by this much; a wrong convention does more.
NOISE = 0.05
#: All bipartitions are listed up to so many modes; the certificate covers more.
LISTED = 12
#: Modes whose correlation reaches this part of the strongest are neighbours in a nullifier.
NEIGHBOUR = 0.5


def read_matrix(path: str | Path) -> Array:
    """Read a square matrix of numbers from CSV (comma, semicolon, tab or blanks) or .npy.

    Lines that begin with # are comments; a first line or column of names is left out. Empty cells
    and "nan" become NaN.

    Raises:
        ValueError: not a matrix; the message names line and cell.
    """
    path = Path(path)
    try:
        if path.suffix == ".npy":
            array = _loaded(path)
            if array.ndim != 2 or array.dtype.kind not in "fiu":
                raise ValueError(f"{path}: holds no matrix of real numbers")
            return np.asarray(array, dtype=float)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no text file; CSV or .npy is wanted") from None
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise ValueError(f"{path}: contains no numbers")
    mark = next((m for m in ";,\t" if any(m in line for _, line in lines)), None)
    rows = [
        (number, next(csv.reader([line], delimiter=mark)) if mark else line.split())
        for number, line in lines
    ]
    if any(not _is_number(cell) for cell in rows[0][1]):
        if len(rows) > 1 and all(not _is_number(row[1][0]) for row in rows[1:]):
            rows = [(number, row[1:]) for number, row in rows]
        if any(not _is_number(cell) for cell in rows[0][1]):
            rows = rows[1:]
    elif all(not _is_number(row[1][0]) for row in rows):
        rows = [(number, row[1:]) for number, row in rows]
    width = len(rows[0][1]) if rows else 0
    values = []
    for number, row in rows:
        if len(row) != width:
            raise ValueError(f"{path}: line {number} has {len(row)} cells, the first has {width}")
        for place, cell in enumerate(row, 1):
            if not _is_number(cell):
                raise ValueError(f"{path}: line {number}, cell {place}: {cell!r} is no number")
        values.append([float(cell) if cell.strip() else math.nan for cell in row])
    return np.array(values, dtype=float).reshape(len(rows), width)


def _loaded(path: Path) -> Array:
    try:
        array = np.load(path)  # never objects: those could run code
    except (ValueError, EOFError):
        array = None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: is no .npy file of numbers")
    return array


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return not cell.strip()
    return True


def to_standard(matrix: ArrayLike, order: str = "blocked", vacuum: float = 1.0) -> Array:
    """Return the matrix in our order with vacuum variance 1."""
    array = np.asarray(matrix, dtype=float) / vacuum
    if order == "blocked":
        return array
    index = np.concatenate([np.arange(0, len(array), 2), np.arange(1, len(array), 2)])
    return np.asarray(array[np.ix_(index, index)])


def recognise(matrix: ArrayLike) -> list[tuple[str, float]]:
    """Return the (order, vacuum) under which a matrix is physical, with the largest vacuum first.

    Of vacua, only the largest that is possible is returned, because all smaller ones are as well.
    """
    for vacuum in VACUA:
        fitting = [
            (order, vacuum)
            for order in ORDERS
            if _lowest(to_standard(matrix, order, vacuum)) >= -NOISE
        ]
        if fitting:
            return fitting
    return []


def check_matrix(matrix: ArrayLike, order: str = "blocked", vacuum: float = 1.0) -> Array:
    """Return a matrix in our convention, physical but for noise; unmeasured (NaN) elements are 0.

    Raises:
        ValueError: wrong shape, not symmetric, or no state in this convention; the message says
            which convention the matrix looks like.
    """
    array = np.asarray(matrix, dtype=float)
    rows, columns = array.shape
    if rows != columns or rows % 2:
        hint = "x and p of each mode are needed, so an even number of both"
        if abs(rows - columns) == 1:
            hint = "one line or column of names or numbers too many?"
        elif columns == 2 * rows or rows == 2 * columns:
            hint = "looks like half of a matrix; both x and p are needed in lines and columns"
        raise ValueError(f"{rows} lines and {columns} columns are no (2N, 2N) matrix: {hint}")
    if np.isinf(array).any():
        raise ValueError("contains infinite elements")
    array = np.where(np.isnan(array), 0.0, array)
    gap = np.abs(array - array.T)
    if gap.max() > max(ASYMMETRY, 1e-6) * np.abs(array).max():
        i, j = (int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
        half = not np.tril(array, -1).any() or not np.triu(array, 1).any()
        hint = "looks like one triangle only; fill the other" if half else "average it first"
        raise ValueError(
            f"not symmetric, elements {i + 1}, {j + 1} and {j + 1}, {i + 1} differ by "
            f"{gap[i, j]:.3g}: {hint}"
        )
    array = (array + array.T) / 2
    standard = to_standard(array, order, vacuum)
    lowest = _lowest(standard)
    if lowest < -NOISE:
        alike = [
            f"--order {name} --vacuum {value:g} ({ORDERS[name]}, vacuum variance {value:g})"
            for name, value in recognise(array)
        ]
        hint = f"it looks like {' or '.join(alike)}" if alike else "nor in any known convention"
        raise ValueError(
            f"no physical state as {ORDERS[order]} with vacuum variance {vacuum:g} (V + i Omega "
            f"has eigenvalue {lowest:.3g}): {hint}"
        )
    return standard


def matrix_report(
    matrix: ArrayLike,
    errors: ArrayLike | None = None,
    order: str = "blocked",
    vacuum: float = 1.0,
) -> dict[str, Any]:
    """Everything there is to say about a covariance matrix, as plain numbers and lists.

    Args:
        matrix: (2N, 2N); NaN where nothing was measured.
        errors: standard errors of the elements, NaN where nothing was measured; without them the
            matrix counts as exact.
        order: "blocked" or "interleaved".
        vacuum: variance of the vacuum in both matrices.
    """
    given = np.asarray(matrix, dtype=float)
    measured = check_matrix(given, order, vacuum)
    unmeasured = int(np.isnan(given).sum())
    sigma = None
    if errors is not None:
        table = np.asarray(errors, dtype=float)
        if table.shape != given.shape:
            raise ValueError(f"errors: must have shape {given.shape}, got {table.shape}")
        sigma = to_standard(np.where(np.isnan(given), np.nan, table), order, vacuum)
    lowest = _lowest(measured)
    state = measured if lowest >= -UNPHYSICAL else nearest_physical(measured)
    modes = len(state) // 2
    certificate = None
    if modes > 1:
        found = certify_inseparability(state if sigma is None else measured, sigma)
        certificate = {
            "holds": found.holds,
            "bottleneck": _finite(found.bottleneck),
            "bottleneck_error": found.bottleneck_error if sigma is not None else None,
            "bipartitions": found.covered,
            "sigmas": found.margin if sigma is not None else None,
            "subsets": [[mode + 1 for mode in subset] for subset in found.subsets],
            "values": [float(value) for value in found.values],
        }
    ppt = ppt_values(state) if 2 <= modes <= LISTED else None
    qfi, bound = displacement_qfi(state)
    return {
        "modes": modes,
        "order": order,
        "vacuum": vacuum,
        "unmeasured": unmeasured,
        "lowest_eigenvalue": lowest,
        "projected_by": float(np.abs(state - measured).max()),
        "symplectic_lowest": float(symplectic_eigenvalues(state)[0]),
        "purity": float(np.exp(-0.5 * np.linalg.slogdet(state)[1])),
        "certificate": certificate,
        "ppt": None
        if ppt is None
        else {
            "bipartitions": len(ppt),
            "entangled": int((ppt < 1.0 - 1e-9).sum()),
            "smallest": float(ppt.min()),
            "largest": float(ppt.max()),
        },
        "nullifiers": best_nullifiers(state),
        "qfi": qfi,
        "qfi_bound": bound,
        "standard_limit": modes,
    }


def best_nullifiers(cov: ArrayLike) -> list[dict[str, Any]]:
    """For each mode, p_k + w (x_l + ...) of its strongest neighbours with the best weight.

    Phases are aligned first, so that correlations lie between p and x. The weight follows from the
    smallest eigenvalue of the 2 x 2 matrix of p_k and the mean of the neighbours' x.
    """
    aligned, _ = align_phases(cov)
    modes = len(aligned) // 2
    found = []
    for k in range(modes):
        correlation = -aligned[modes + k, :modes].copy()
        correlation[k] = 0.0
        strongest = float(correlation.max())
        near = np.flatnonzero(correlation >= NEIGHBOUR * strongest)
        if strongest <= 1e-9:
            found.append({"mode": k + 1, "neighbours": [], "weight": 0.0, "squeezing_db": 0.0})
            continue
        axes = np.zeros((2, 2 * modes))
        axes[0, modes + k] = 1.0
        axes[1, near] = 1.0 / math.sqrt(len(near))
        values, vectors = np.linalg.eigh(axes @ aligned @ axes.T)
        p, x = vectors[:, 0]
        found.append(
            {
                "mode": k + 1,
                "neighbours": [int(mode) + 1 for mode in near],
                "weight": float(x / p / math.sqrt(len(near))) if p else math.inf,
                "squeezing_db": float(-10.0 * math.log10(max(values[0], 1e-300))),
            }
        )
    return found


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    out = [f"{report['modes']} modes, {ORDERS[report['order']]}, vacuum {report['vacuum']:g}"]
    if report["unmeasured"]:
        out.append(f"{report['unmeasured']} elements not measured, taken as 0")
    if report["projected_by"]:
        out.append(
            f"measured matrix not quite physical (V + i Omega: {report['lowest_eigenvalue']:.3g}); "
            f"nearest physical one differs by up to {report['projected_by']:.3g}"
        )
    out.append(
        f"smallest symplectic eigenvalue {report['symplectic_lowest']:.4f}, "
        f"purity {report['purity']:.3g}"
    )
    if certificate := report["certificate"]:
        verdict = "no bipartition is separable" if certificate["holds"] else "nothing proved"
        bound = certificate["bottleneck"]
        text = f"certificate: {verdict}"
        if bound is not None:
            error = certificate["bottleneck_error"]
            text += f"; PPT value of all {certificate['bipartitions']} bipartitions at most "
            text += f"{bound:.4f}" + (f" ± {error:.4f}" if error is not None else "")
        else:
            text += "; the measured pairs do not connect all modes"
        out.append(text)
    if ppt := report["ppt"]:
        out.append(
            f"PPT: {ppt['entangled']} of {ppt['bipartitions']} bipartitions entangled, "
            f"{ppt['smallest']:.4f} to {ppt['largest']:.4f}"
        )
    best = max(report["nullifiers"], key=lambda one: one["squeezing_db"])
    if best["neighbours"]:
        terms = " + ".join(f"x{mode}" for mode in best["neighbours"])
        out.append(
            f"best nullifier: p{best['mode']} + {best['weight']:.2f} ({terms}), "
            f"{best['squeezing_db']:.2f} dB below shot noise, after alignment of phases"
        )
    out.append(
        f"displacement sensing: Fisher information {report['qfi']:.2f} "
        f"(bound {report['qfi_bound']:.2f}, coherent states {report['standard_limit']})"
    )
    return out


def _lowest(standard: Array) -> float:
    return float(np.linalg.eigvalsh(standard + 1j * form(len(standard) // 2))[0])


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
