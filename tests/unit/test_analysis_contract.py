"""What scripts rely on in `labctl.analysis`: names, shapes, order, edges, and refusals by name.

Written from the interface alone; references are loops over the definition.
"""

from __future__ import annotations

import inspect
import itertools
import warnings

import numpy as np
import pytest

from labctl.analysis import allocation, gaussian, qkd, timetags

R = 0.5
EPR = np.array(
    [
        [np.cosh(2 * R), -np.sinh(2 * R), 0, 0],
        [-np.sinh(2 * R), np.cosh(2 * R), 0, 0],
        [0, 0, np.cosh(2 * R), np.sinh(2 * R)],
        [0, 0, np.sinh(2 * R), np.cosh(2 * R)],
    ]
)  # x1 + x2 and p1 - p2 squeezed
TAGS = np.array([0, 10, 20, 30], dtype=np.int64)
BITS = np.array([0, 1, 1, 0, 1], dtype=np.uint8)
DECOY = {"intensities": [0.5, 0.16, 0.008], "gains": [9e-4, 3e-4, 2.8e-5]}
BLOCK = {
    "intensities": [0.5, 0.16, 0.008],
    "probabilities": [29 / 32, 2 / 32, 1 / 32],
    "key_counts": [9e8, 2e7, 1e6],
    "test_counts": [9e8, 2e7, 1e6],
    "test_errors": [2.4e7, 8e5, 2e5],
    "leaked_bits": 1.8e8,
}

#: Function, arguments as a script would write them.
CALLS = {
    gaussian.symplectic_eigenvalues: {"cov": EPR},
    gaussian.is_physical: {"cov": EPR, "tolerance": 1e-9},
    gaussian.nearest_physical: {"cov": EPR},
    gaussian.ppt_values: {"cov": EPR, "parties": [[False, True]]},
    gaussian.log_negativity: {"cov": EPR, "party": [False, True]},
    gaussian.duan_sum: {"cov": EPR, "i": 0, "j": 1},
    gaussian.certify_inseparability: {"cov": EPR, "cov_error": np.full((4, 4), 1e-3), "sigmas": 3},
    gaussian.nullifier_variance: {"cov": EPR, "k": 0, "partners": [1], "weight": 1.0},
    gaussian.displacement_qfi: {"cov": EPR},
    gaussian.covariance_from_variances: {
        "directions": np.eye(4), "variances": np.ones(4), "errors": np.full(4, 0.1),
    },
    timetags.correlation_histogram: {"start": TAGS, "stop": TAGS, "bin_width": 5, "max_delay": 20},
    timetags.count_coincidences: {"start": TAGS, "stop": TAGS, "window": 5, "delay": 0},
    timetags.nfold_coincidences: {"channels": [TAGS, TAGS], "window": 5},
    timetags.g2_trials: {"clicks_a": TAGS, "clicks_b": TAGS, "trials": 100, "max_lag": 3},
    timetags.franson_peaks: {"start": TAGS, "stop": TAGS, "path_delay": 10, "window": 5},
    timetags.apply_dead_time: {"tags": TAGS, "dead_time": 15},
    qkd.binary_entropy: {"p": 0.1},
    qkd.bbm92_key_rate: {
        "sifted_rate": 1e3, "bit_error": 0.02, "phase_error": 0.02, "efficiency": 1.2,
    },
    qkd.max_qber: {"efficiency": 1.2},
    qkd.decoy_bounds: {**DECOY, "errors": [0.026, 0.041, 0.25]},
    qkd.decoy_key_rate: {
        **DECOY, "errors": [0.026, 0.041, 0.25], "efficiency": 1.16, "sifting": 0.5,
    },
    qkd.finite_key_length: {**BLOCK, "secrecy": 1e-10, "correctness": 1e-15},
    qkd.cascade: {"alice": BITS, "bob": BITS, "qber": 0.02, "seed": 1},
    qkd.toeplitz_hash: {"bits": BITS, "seed_bits": np.ones(7, np.uint8), "length": 3},
    allocation.plan_channels: {"users": 4, "pumps": (0, 10)},
}  # fmt: skip

SIGNATURES = {
    gaussian.is_physical: {"tolerance": 1e-9},
    gaussian.ppt_values: {"parties": None},
    gaussian.duan_sum: {"i": 0, "j": 1},
    gaussian.certify_inseparability: {"cov_error": None, "sigmas": 3},
    timetags.count_coincidences: {"delay": 0},
    qkd.bbm92_key_rate: {"phase_error": None, "efficiency": 1.2},
    qkd.max_qber: {"efficiency": 1.2},
    qkd.decoy_key_rate: {"efficiency": 1.16, "sifting": 0.5},
    allocation.plan_channels: {"pumps": (0, 10)},
}

NEVER_RIGHT = [
    "x", b"x", {"a": 1}, object(), 1j, np.nan, np.inf, -np.inf, -(2**70), [np.nan], [1j, 2],
    [[1, 2], [3]], np.full((3, 3), -1), np.full((4, 4), -np.inf), np.array(["a"]),
    np.array([None, 1]), [0.5, -1.5], lambda x: x, iter([-1]),
]  # fmt: skip
#: Two channels need not have as many tags, and rows of a matrix are channels.
FINE = ("nfold_coincidences", "channels")


def complaint(function, arguments):
    """What a ValueError says, None if there is none."""
    try:
        function(**arguments)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("function", "arguments"), CALLS.items(), ids=[function.__name__ for function in CALLS]
)
def test_what_makes_no_sense_is_refused_by_the_name_of_the_argument(function, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(**arguments)
        for name, wrong in itertools.product(arguments, NEVER_RIGHT):
            said = complaint(function, {**arguments, name: wrong})
            if said is None:
                assert (function.__name__, name) == FINE, wrong
            else:
                assert name in said, (name, wrong, said)
                assert "\n" not in said
                assert len(said) < 250


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__name__)
def test_defaults_and_order_of_arguments(function):
    parameters = inspect.signature(function).parameters
    for name, default in SIGNATURES[function].items():
        assert parameters[name].default == default
    assert list(parameters)[: len(CALLS[function])] == list(CALLS[function])


def variants(array):
    """The same numbers as users have them."""
    frozen = array.copy()
    frozen.flags.writeable = False
    strided = np.repeat(array, 2, axis=-1)[..., ::2]
    return {
        "list": array.tolist(), "read-only": frozen, "strided": strided,
        "fortran": np.asfortranarray(array), "big endian": array.astype(array.dtype.newbyteorder()),
    }  # fmt: skip


@pytest.mark.parametrize("kind", variants(TAGS))
@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_the_same_numbers_in_another_form(function, kind):
    arguments = CALLS[function]
    other = {
        name: variants(value)[kind] if isinstance(value, np.ndarray) else value
        for name, value in arguments.items()
    }
    before = {name: np.array(value) for name, value in other.items()}
    one, two = function(**arguments), function(**other)
    if function is gaussian.covariance_from_variances:
        one, two = tuple(one), tuple(two)
    for a, b in zip(*(v if isinstance(v, tuple) else (v,) for v in (one, two)), strict=True):
        if isinstance(a, np.ndarray | float | int):
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b
    for name, value in other.items():  # nothing is changed in place
        np.testing.assert_array_equal(np.array(value), before[name])


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.uint8, np.int16])
def test_tags_of_any_integer_type(dtype):
    counts, edges = timetags.correlation_histogram(TAGS.astype(dtype), TAGS.astype(dtype), 5, 20)
    wanted, _ = timetags.correlation_histogram(TAGS, TAGS, 5, 20)
    np.testing.assert_array_equal(counts, wanted)
    assert edges.dtype == np.int64


def test_single_precision_and_integer_matrices():
    assert gaussian.symplectic_eigenvalues(np.eye(4, dtype=np.float32)).tolist() == [1, 1]
    assert gaussian.symplectic_eigenvalues(np.eye(4, dtype=int)).tolist() == [1, 1]


# Gaussian states ----------------------------------------------------------------------------------


def random_state(generator, modes, squeezing=0.6):
    """A physical matrix from local squeezers, beam splitters and thermal noise, x1..xN, p1..pN."""
    gains = generator.uniform(-squeezing, squeezing, modes)
    mixer, _ = np.linalg.qr(
        generator.normal(size=(modes, modes)) + 1j * generator.normal(size=(modes, modes))
    )
    turn = np.block([[mixer.real, -mixer.imag], [mixer.imag, mixer.real]])
    squeeze = np.diag(np.concatenate([np.exp(gains), np.exp(-gains)]))
    noise = np.diag(np.tile(1 + generator.exponential(0.2, modes), 2))
    matrix = turn @ squeeze @ noise @ squeeze @ turn.T
    return (matrix + matrix.T) / 2


def slow_symplectic(matrix):
    """Moduli of the eigenvalues of i Omega V, each of which comes twice."""
    modes = len(matrix) // 2
    omega = np.block(
        [[np.zeros((modes, modes)), np.eye(modes)], [-np.eye(modes), np.zeros((modes, modes))]]
    )
    return np.sort(np.abs(np.linalg.eigvals(1j * omega @ matrix)))[::2]


def slow_ppt(matrix, party):
    flip = np.diag(np.concatenate([np.ones(len(party)), np.where(party, -1.0, 1.0)]))
    return slow_symplectic(flip @ matrix @ flip)


@pytest.mark.parametrize("modes", [1, 2, 3, 5])
def test_symplectic_and_ppt_values_against_the_definition(modes):
    matrix = random_state(np.random.default_rng(modes), modes)
    values = gaussian.symplectic_eigenvalues(matrix)
    assert values.shape == (modes,)
    assert (np.diff(values) >= 0).all()
    np.testing.assert_allclose(values, slow_symplectic(matrix), rtol=1e-10)
    ppt = gaussian.ppt_values(matrix)
    assert ppt.shape == (2 ** (modes - 1) - 1,)
    for number, value in enumerate(ppt, start=1):  # binary, mode 1 least significant, mode 0 False
        party = np.array([False, *((number >> bit) & 1 for bit in range(modes - 1))], dtype=bool)
        assert value == pytest.approx(slow_ppt(matrix, party)[0], rel=1e-10)
        negative = -np.log(np.minimum(slow_ppt(matrix, party), 1)).sum()
        assert gaussian.log_negativity(matrix, party) == pytest.approx(negative, abs=1e-10)


def test_batches_over_leading_axes():
    generator = np.random.default_rng(0)
    stack = np.array([[random_state(generator, 3) for _ in range(4)] for _ in range(2)])
    flags = [False, True, True]
    values = gaussian.symplectic_eigenvalues(stack)
    assert values.shape == (2, 4, 3)
    negativity, duan = gaussian.log_negativity(stack, flags), gaussian.duan_sum(stack, 0, 2)
    assert negativity.shape == duan.shape == (2, 4)
    for place in np.ndindex(2, 4):
        np.testing.assert_allclose(values[place], gaussian.symplectic_eigenvalues(stack[place]))
        assert negativity[place] == pytest.approx(
            float(gaussian.log_negativity(stack[place], flags))
        )
        assert duan[place] == pytest.approx(float(gaussian.duan_sum(stack[place], 0, 2)))
    empty = np.zeros((0, 6, 6))
    assert gaussian.symplectic_eigenvalues(empty).shape == (0, 3)
    assert gaussian.log_negativity(empty, flags).shape == gaussian.duan_sum(empty).shape == (0,)


def test_one_uneven_matrix_of_a_stack_is_not_hidden_by_a_large_one():
    stack = np.array([1e6 * np.eye(2), np.eye(2)])
    stack[1, 0, 1] = 1e-3
    with pytest.raises(ValueError, match="cov: must be symmetric"):
        gaussian.symplectic_eigenvalues(stack)


def test_conventions_of_a_squeezed_pair():
    assert gaussian.ppt_values(EPR) == pytest.approx([np.exp(-2 * R)])
    assert float(gaussian.log_negativity(EPR, [False, True])) == pytest.approx(2 * R)
    assert float(gaussian.duan_sum(EPR)) == pytest.approx(2 * np.exp(-2 * R))
    assert float(gaussian.duan_sum(np.eye(4))) == 2.0
    assert gaussian.is_physical(np.eye(2))
    assert not gaussian.is_physical(0.999 * np.eye(2))
    assert gaussian.is_physical(0.999 * np.eye(2), tolerance=1e-2)
    # Var(p_0 - x_1) / 2 of uncorrelated p_0 and x_1
    assert gaussian.nullifier_variance(EPR, 0, [1], -1.0) == pytest.approx(np.cosh(2 * R))
    value, bound = gaussian.displacement_qfi(EPR)
    assert value == pytest.approx(2 * np.exp(2 * R), rel=1e-6)
    assert bound == pytest.approx(2 * np.exp(2 * R))


@pytest.mark.parametrize(
    ("party", "same"),
    [
        ([2], [False, False, True]),
        (2, [False, False, True]),
        ([0, 2], [True, False, True]),
        ([0, 0, 1], [False, False, True]),
        (np.array([0, 1, 1]), [False, True, True]),
    ],
)
def test_a_party_is_named_by_flags_or_by_mode_numbers(party, same):
    matrix = random_state(np.random.default_rng(7), 3)
    assert gaussian.log_negativity(matrix, party) == gaussian.log_negativity(matrix, same)


def test_zeros_and_ones_of_two_modes_are_flags():
    assert gaussian.log_negativity(EPR, [0, 1]) == gaussian.log_negativity(EPR, [False, True]) > 0


def test_the_nearest_physical_matrix_is_physical_and_near():
    generator = np.random.default_rng(3)
    for _ in range(5):
        noise = generator.normal(scale=0.1, size=(6, 6))
        matrix = random_state(generator, 3) + (noise + noise.T) / 2
        nearest = gaussian.nearest_physical(matrix)
        assert gaussian.is_physical(nearest)
        distance = np.linalg.norm(nearest - matrix)
        for _ in range(50):  # no physical matrix on the way to another one is nearer
            other = nearest + generator.uniform(0, 0.2) * (random_state(generator, 3) - nearest)
            assert gaussian.is_physical(other, 1e-8)
            assert np.linalg.norm(other - matrix) >= distance - 1e-7


def test_a_certificate_covers_all_modes():
    chain = np.eye(6)
    for i, j in ((0, 1), (1, 2)):
        chain[i, j] = chain[j, i] = -0.35
        chain[3 + i, 3 + j] = chain[3 + j, 3 + i] = 0.35
    chain += 0.06 * np.eye(6)
    found = gaussian.certify_inseparability(gaussian.nearest_physical(chain))
    assert found.holds
    assert {mode for subset in found.subsets for mode in subset} == {0, 1, 2}
    assert max(gaussian.ppt_values(gaussian.nearest_physical(chain))) <= found.bottleneck + 1e-9 < 1
    assert not gaussian.certify_inseparability(np.eye(6)).holds
    assert not gaussian.certify_inseparability(chain, np.full((6, 6), 1.0)).holds


def test_a_matrix_is_rebuilt_from_its_variances():
    matrix = random_state(np.random.default_rng(5), 2)
    pairs = list(itertools.combinations(range(4), 2))
    rows = [np.eye(4)[i] for i in range(4)]
    rows += [(np.eye(4)[i] + s * np.eye(4)[j]) / np.sqrt(2) for i, j in pairs for s in (1, -1)]
    directions = np.array(rows)
    exact = np.einsum("si,ij,sj->s", directions, matrix, directions)
    covariance, error = gaussian.covariance_from_variances(directions, exact, 0.01)
    np.testing.assert_allclose(covariance, matrix, atol=1e-12)
    assert (error > 0).all()
    assert error.shape == (4, 4)


# Time tags ----------------------------------------------------------------------------------------


def delays(start, stop):
    return [int(b) - int(a) for a in start for b in stop]


def slow_histogram(start, stop, width, reach):
    edges = [min(-reach + k * width, reach) for k in range(-(-2 * reach // width) + 1)]
    found = delays(start, stop)
    return [sum(low <= d < high for d in found) for low, high in itertools.pairwise(edges)], edges


#: Enough tags that the compiled kernels count, and few enough that numpy does.
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(("width", "reach"), [(5, 20), (7, 20), (50, 20), (1, 1), (3, 10)])
def test_bins_hold_their_left_edge(monkeypatch, many, width, reach):
    if many:
        monkeypatch.setattr("labctl.analysis.timetags.correlation.TINY", 0)
    generator = np.random.default_rng(width)
    start, stop = (np.sort(generator.integers(0, 300, 60)) for _ in range(2))  # with repetitions
    counts, edges = timetags.correlation_histogram(start, stop, width, reach)
    wanted, wanted_edges = slow_histogram(start, stop, width, reach)
    assert counts.tolist() == wanted
    assert edges.tolist() == wanted_edges
    for window, delay in itertools.product((1, 2, 3, 10, 11), (-7, 0, 4)):
        found = sum(-window <= 2 * (d - delay) < window for d in delays(start, stop))
        assert timetags.count_coincidences(start, stop, window, delay) == found
    peaks = timetags.franson_peaks(start, stop, 9, 5)
    assert peaks == tuple(
        sum(-5 <= 2 * (d - peak) < 5 for d in delays(start, stop)) for peak in (-9, 0, 9)
    )


@pytest.mark.parametrize("many", [False, True])
def test_edges_of_bins_and_windows_one_by_one(monkeypatch, many):
    if many:
        monkeypatch.setattr("labctl.analysis.timetags.correlation.TINY", 0)

    def at(delay):
        return [1000], [1000 + delay]

    for delay, bin_ in (
        (-20, 0),
        (-16, 0),
        (-15, 1),
        (0, 4),
        (-1, 3),
        (19, 7),
        (20, None),
        (-21, None),
    ):
        counts, _ = timetags.correlation_histogram(*at(delay), 5, 20)
        assert np.flatnonzero(counts).tolist() == ([] if bin_ is None else [bin_])
    for window, inside in ((1, {0}), (2, {-1, 0}), (3, {-1, 0, 1}), (4, {-2, -1, 0, 1})):
        found = {d for d in range(-5, 6) if timetags.count_coincidences(*at(d), window)}
        assert found == inside
        shifted = {d for d in range(-5, 12) if timetags.count_coincidences(*at(d), window, 3)}
        assert shifted == {d + 3 for d in inside}


def test_the_sign_of_a_delay_is_stop_minus_start():
    assert timetags.count_coincidences([0], [100], 2, 100) == 1
    assert timetags.count_coincidences([0], [100], 2, -100) == 0
    assert timetags.franson_peaks([0], [100], 100, 2) == (0, 0, 1)  # stop later: late
    assert timetags.g2_trials([3], [5], 10, 2)[0].tolist() == [0, 0, 0, 0, 10 * 10 / 8]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("window", [1, 2, 7, 30])
def test_n_fold_coincidences(monkeypatch, many, window):
    if many:
        monkeypatch.setattr("labctl.analysis.timetags.nfold.TINY", 0)
    generator = np.random.default_rng(window)
    channels = [np.sort(generator.integers(0, 100, 12)) for _ in range(3)]
    slow = sum(max(tags) - min(tags) < window for tags in itertools.product(*channels))
    assert timetags.nfold_coincidences(channels, window) == slow
    assert timetags.nfold_coincidences(channels[:1], window) == 12


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("dead", [0, 1, 2, 15, 10_000])
def test_dead_time_is_not_prolonged(monkeypatch, many, dead):
    if many:
        monkeypatch.setattr("labctl.analysis.timetags.streams.TINY", 0)
    tags = np.sort(np.random.default_rng(dead).integers(0, 500, 200))
    kept, last = [], None
    for time in tags.tolist():
        if last is None or time - last >= dead:
            kept.append(time)
            last = time
    assert timetags.apply_dead_time(tags, dead).tolist() == kept
    assert timetags.apply_dead_time([0, 6, 12, 18], 10).tolist() == [0, 12]  # paralysable: [0]


def test_g2_of_trials_against_the_definition():
    generator = np.random.default_rng(1)
    trials, reach = 400, 3
    a, b = (np.sort(generator.integers(0, trials, 90)) for _ in range(2))
    g2, sigma = timetags.g2_trials(a, b, trials, reach)
    assert g2.shape == sigma.shape == (2 * reach + 1,)
    first, second = set(a.tolist()), set(b.tolist())
    for lag, value in zip(range(-reach, reach + 1), g2, strict=True):
        both = sum(i + lag in second for i in first)
        wanted = both / (trials - abs(lag)) / (len(first) / trials * len(second) / trials)
        assert value == pytest.approx(wanted)
    assert (sigma > 0).all()


@pytest.mark.parametrize("many", [False, True])
def test_the_ends_of_the_range_of_times(monkeypatch, many):
    if many:
        monkeypatch.setattr("labctl.analysis.timetags.correlation.TINY", 0)
        monkeypatch.setattr("labctl.analysis.timetags.nfold.TINY", 0)
        monkeypatch.setattr("labctl.analysis.timetags.streams.TINY", 0)
    far = 2**61 - 1
    ends = np.array([-far, 0, far])
    assert timetags.count_coincidences(ends, ends, 2**60, 0) == 3
    assert timetags.count_coincidences(ends, ends, 2, 2**60) == 0
    counts, _ = timetags.correlation_histogram(ends, ends, 2**58, 2**60)
    assert counts.tolist() == [0, 0, 0, 0, 3, 0, 0, 0]
    assert timetags.nfold_coincidences([ends, ends], 2**60) == 3
    assert timetags.apply_dead_time(ends, 2**60).tolist() == ends.tolist()
    for wrong in ([2**61], [-(2**61)], [np.iinfo(np.int64).min], [np.iinfo(np.int64).max]):
        with pytest.raises(ValueError, match=r"start: contains times beyond 2\^61"):
            timetags.count_coincidences(wrong, [0], 5)
    with pytest.raises(ValueError, match="window: must be from 1 to"):
        timetags.count_coincidences([0], [0], 2**62)


def test_no_tags_are_no_counts():
    for start, stop in (([], TAGS), (TAGS, []), ([], [])):
        assert timetags.correlation_histogram(start, stop, 5, 20)[0].tolist() == [0] * 8
        assert timetags.count_coincidences(start, stop, 5) == 0
        assert timetags.franson_peaks(start, stop, 10, 5) == (0, 0, 0)
        assert timetags.nfold_coincidences([start, stop], 5) == 0
        g2, sigma = timetags.g2_trials(start, stop, 100, 1)
        assert np.isnan(g2).all()
        assert np.isinf(sigma).all()
    assert timetags.apply_dead_time([], 5).size == 0


# Keys ---------------------------------------------------------------------------------------------


def test_rates_of_any_shape():
    p = np.array([[0.0, 0.5, 1.0]])
    assert qkd.binary_entropy(p).tolist() == [[0.0, 1.0, 0.0]]
    assert isinstance(qkd.binary_entropy(0.11), float)
    rates = qkd.bbm92_key_rate(np.array([1000.0, 2000.0]), 0.0145)
    assert rates.shape == (2,)
    assert rates[1] == 2 * rates[0]
    assert qkd.bbm92_key_rate(1000, 0.2) == 0
    assert qkd.max_qber() == pytest.approx(0.095494, abs=1e-6)
    assert qkd.max_qber(1.0) == pytest.approx(0.110028, abs=1e-6)


def test_toeplitz_against_its_index_rule():
    generator = np.random.default_rng(2)
    for n, m in ((1, 1), (5, 0), (7, 7), (40, 13)):
        bits, seed = generator.integers(0, 2, n), generator.integers(0, 2, n + m - 1 if m else n)
        slow = [sum(seed[i - j + n - 1] & bits[j] for j in range(n)) % 2 for i in range(m)]
        assert qkd.toeplitz_hash(bits, seed, m).tolist() == slow


@pytest.mark.parametrize(
    ("rate", "length"),
    [(0.0, 1), (0.0, 2), (0.0, 17), *((r, 3000) for r in (0.0, 0.01, 0.05, 0.11, 0.25))],
)
def test_cascade_corrects_and_counts(rate, length):
    generator = np.random.default_rng(length)
    alice = generator.integers(0, 2, length).astype(np.uint8)
    bob = alice ^ (generator.random(length) < rate)
    corrected, leaked = qkd.cascade(alice, bob, rate, seed=4)
    again, same = qkd.cascade(alice, bob, rate, seed=4)
    assert (leaked, corrected.tolist()) == (same, again.tolist())
    assert corrected.tolist() == alice.tolist()
    assert isinstance(leaked, int)
    assert leaked >= (length > 0)


def test_cascade_of_nothing():
    corrected, leaked = qkd.cascade([], [], 0.02, seed=1)
    assert (corrected.size, leaked) == (0, 0)


def test_a_plan_says_what_it_promises():
    plan = allocation.plan_channels(4, np.array([0, 10]))
    assert plan == allocation.plan_channels(4)
    assert len(plan.labels) == 4
    assert plan.channels == sum(map(len, plan.labels)) == plan.lower_bound == 6
    assert plan.proved_optimal
    assert {(a, b) for a, b, *_ in plan.links} == set(itertools.combinations(range(4), 2))
    for a, b, first, second in plan.links:
        assert first in plan.labels[a]
        assert second in plan.labels[b]
        assert first + second in (0, 10, 20)
