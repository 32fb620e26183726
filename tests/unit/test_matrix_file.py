"""`labctl analyse --matrix`: other people's covariance matrices, right and wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.analysis.gaussian import certify_inseparability
from labctl.analysis.gaussian.matrixfile import (
    best_nullifiers,
    check_matrix,
    matrix_report,
    read_matrix,
    recognise,
    to_standard,
)
from labctl.cli import main


def two_mode_squeezed(r: float = 0.5) -> np.ndarray:
    """x1 x2 p1 p2, vacuum 1."""
    c, s = np.cosh(2 * r), np.sinh(2 * r)
    return np.array([[c, s, 0, 0], [s, c, 0, 0], [0, 0, c, -s], [0, 0, -s, c]])


def chain(modes: int = 60, loss: float = 0.4) -> np.ndarray:
    """A pure chain of squeezers between neighbours, then loss."""
    rng = np.random.default_rng(1)
    v = np.eye(2 * modes)
    for i in range(modes - 1):
        s = np.eye(2 * modes)
        r = 0.25 + 0.05 * rng.random()
        for a, sign in ((0, 1.0), (modes, -1.0)):
            s[a + i, a + i] = s[a + i + 1, a + i + 1] = np.cosh(r)
            s[a + i, a + i + 1] = s[a + i + 1, a + i] = sign * np.sinh(r)
        v = s @ v @ s.T
    return (1 - loss) * v + loss * np.eye(2 * modes)


def interleaved(v: np.ndarray) -> np.ndarray:
    n = len(v) // 2
    index = np.arange(2 * n).reshape(2, n).T.ravel()
    return v[np.ix_(index, index)]


def test_orders_and_vacua_come_to_the_same() -> None:
    v = chain(5)
    for given, order, vacuum in (
        (v, "blocked", 1.0), (v / 2, "blocked", 0.5),
        (interleaved(v), "interleaved", 1.0), (interleaved(v) / 4, "interleaved", 0.25),
    ):  # fmt: skip
        assert to_standard(given, order, vacuum) == pytest.approx(v)
        assert recognise(given) == [(order, vacuum)]
        report = matrix_report(given, order=order, vacuum=vacuum)
        assert report["certificate"]["holds"]
        assert report["ppt"]["entangled"] == report["ppt"]["bipartitions"] == 15


def test_report_of_a_state_with_known_numbers() -> None:
    report = matrix_report(two_mode_squeezed())
    assert report["ppt"]["smallest"] == pytest.approx(np.exp(-1))
    assert report["certificate"]["bottleneck"] == pytest.approx(np.exp(-1))
    assert report["purity"] == pytest.approx(1)
    assert report["symplectic_lowest"] == pytest.approx(1)
    assert report["qfi"] == pytest.approx(2 * np.e)
    (first, second) = report["nullifiers"]
    assert first["neighbours"] == [2]
    assert second["neighbours"] == [1]
    assert first["weight"] == pytest.approx(1)
    assert first["squeezing_db"] == pytest.approx(10 * np.log10(np.e))


def test_weight_of_a_nullifier_is_the_best_one() -> None:
    v = chain(7)
    for one in best_nullifiers(v):
        assert one["neighbours"]
        assert one["squeezing_db"] > 0.3
    assert best_nullifiers(np.eye(4))[0] == {
        "mode": 1, "neighbours": [], "weight": 0.0, "squeezing_db": 0.0,
    }  # fmt: skip


def test_noise_is_projected_away_and_said() -> None:
    noise = 0.004 * np.random.default_rng(2).normal(size=(120, 120))
    report = matrix_report(chain(60, 0.1) + (noise + noise.T) / 2)
    assert -0.05 < report["lowest_eigenvalue"] < 0
    assert 0 < report["projected_by"] < 0.05
    assert report["certificate"]["holds"]


def test_errors_go_into_the_certificate() -> None:
    v = two_mode_squeezed()
    small = matrix_report(v, np.full((4, 4), 0.01))["certificate"]
    assert small["holds"]
    assert 0 < small["bottleneck_error"] < 0.05
    large = matrix_report(v, np.full((4, 4), 0.5))["certificate"]
    assert not large["holds"]
    hole = np.full((4, 4), 0.01)
    hole[0, 1] = hole[1, 0] = np.nan
    assert matrix_report(v, hole)["certificate"]["bottleneck"] is None
    with pytest.raises(ValueError, match=r"errors: must have shape \(4, 4\)"):
        matrix_report(v, np.ones((2, 2)))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((4, 5)), "one line or column of names"),
        (np.eye(3), "even number of both"),
        (np.ones((4, 8)), "half of a matrix"),
        (np.triu(two_mode_squeezed()), "one triangle only"),
        (np.diag([1.0, np.inf]), "infinite"),
        (two_mode_squeezed() + np.diag([0, 0.5, 0], 1), "not symmetric, elements 2, 3"),
        (interleaved(chain(6)), "looks like --order interleaved --vacuum 1 "),
        (chain(6) / 2, "looks like --order blocked --vacuum 0.5"),
        (interleaved(chain(6)) / 2, "looks like --order interleaved --vacuum 0.5"),
        (0.01 * np.eye(4), "nor in any known convention"),
    ],
)
def test_wrong_matrices_say_what_they_look_like(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_matrix(matrix)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "2,0\n0,2\n",
        "# a comment\n2;0\n0;2\n",
        "2 0\n0 2",
        "x1,p1\n2,0\n0,2\n",
        ",x1,p1\nx1,2,0\np1,0,2\n",
        "x1,2,0\np1,0,2\n",
        "\ufeff2,\n,2\n",
    ],
)
def test_csv_in_many_hands(tmp_path: Path, text: str) -> None:
    path = tmp_path / "matrix.csv"
    path.write_text(text, encoding="utf-8")
    assert np.nan_to_num(read_matrix(path)).tolist() == [[2.0, 0.0], [0.0, 2.0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "contains no numbers"),
        (b"1,2\n3\n", "line 2 has 1 cells, the first has 2"),
        (b"1,2\n3,four\n", "line 2, cell 2: 'four' is no number"),
        (b"\xff\xfe\x00", "no text file"),
    ],
)
def test_files_that_hold_no_matrix(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "matrix.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_matrix(path)


def call(capsys: Any, *words: str) -> tuple[int, str, str]:
    code = main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_command_in_text_and_json(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "v.csv"
    np.savetxt(path, interleaved(chain(6)) / 2, delimiter=",")
    code, out, err = call(capsys, "analyse", "--matrix", str(path))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--order interleaved --vacuum 0.5" in err
    words = ("analyse", "--matrix", str(path), "--order", "interleaved", "--vacuum", "0.5")
    code, out, err = call(capsys, *words)
    assert (code, err) == (0, "")
    assert "no bipartition is separable" in out
    assert "31 of 31 bipartitions entangled" in out
    code, out, _ = call(capsys, *words, "--json")
    document = json.loads(out)
    assert document["modes"] == 6
    assert document["certificate"]["holds"] is True
    assert len(document["nullifiers"]) == 6
    assert call(capsys, "analyse")[0] == 2
    assert call(capsys, "analyse", "7", "--matrix", str(path))[0] == 2
    assert "cannot be read" in call(capsys, "analyse", "--matrix", str(tmp_path / "no.csv"))[2]


def test_certificate_of_sixty_modes_does_not_try_all_bipartitions() -> None:
    v = chain(60)
    certify_inseparability(v)
    began = time.process_time()
    assert certify_inseparability(v).holds
    # 0.03 s on an idle machine; 2^59 of anything would not end at all.
    assert time.process_time() - began < 5.0
