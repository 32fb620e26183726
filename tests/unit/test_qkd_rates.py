"""Key rates and decoy bounds against published tables and exact photon statistics."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.qkd import (
    bbm92_key_rate,
    binary_entropy,
    decoy_bounds,
    decoy_key_rate,
    finite_key,
    finite_key_length,
    max_qber,
    minimum_visibility,
)

SENT = np.array([29, 2, 1]) / 32
TR1, TR2 = (0.50, 0.16, 0.008), (0.60, 0.06, 0.008)


def gains_and_errors(levels, eta, background, misalignment, afterpulse=0.0):
    """Expected gains and error rates of a threshold detector, sheet section 3.1."""
    seen = 1 - np.exp(-eta * np.array(levels))
    noise = background + afterpulse * (background + SENT @ seen) / (1 - afterpulse)
    gains = noise + seen * (1 - noise)
    return gains, (noise / 2 + misalignment * seen * (1 - noise)) / gains


def test_entropy():
    assert binary_entropy(0.0) == binary_entropy(1.0) == 0.0
    assert binary_entropy(0.5) == 1.0
    assert binary_entropy(0.11) == pytest.approx(0.499916, abs=1e-6)
    np.testing.assert_allclose(binary_entropy([[0.25, 0.75]]), [[0.811278, 0.811278]], atol=1e-6)


def test_thresholds():
    assert max_qber() == pytest.approx(0.095494, abs=1e-6)
    assert minimum_visibility() == pytest.approx(0.80901, abs=1e-5)
    assert max_qber(1.0) == pytest.approx(0.110028, abs=1e-6)  # Shor and Preskill 2000


@pytest.mark.parametrize(
    ("sifted", "visibility", "rate"),
    [
        (1613.9, 0.971, 1225.7),
        (260.0, 0.844, 34.0),
        (405.6, 0.871, 97.7),
        (268.2, 0.849, 40.4),
        (267.4, 0.832, 22.6),
        (585.0, 0.932, 309.5),
        (460.0, 0.848, 67.4),
    ],
)
def test_published_key_rates_from_their_own_columns(sifted, visibility, rate):
    assert bbm92_key_rate(sifted, (1 - visibility) / 2) == pytest.approx(rate, abs=0.06)


PUBLISHED = (  # sifted bits per s, visibility, error rate (%) and key bits per s as printed
    (1613.9, 0.971, 1.4, 1230.6),
    (260.0, 0.844, 7.8, 34.2),
    (405.6, 0.871, 6.5, 97.6),
    (268.2, 0.849, 7.6, 39.9),
    (267.4, 0.832, 8.4, 22.9),
    (585.0, 0.932, 3.4, 454.6),
    (460.0, 0.848, 7.6, 67.1),
)


def test_published_key_rates_from_the_printed_error_rates():
    found = [float(bbm92_key_rate(sifted, percent / 100)) for sifted, _, percent, _ in PUBLISHED]
    assert found == pytest.approx([1236.6, 34.0, 96.0, 39.3, 22.6, 309.5, 67.4], abs=0.06)
    assert sum(found) == pytest.approx(1805.4, abs=0.1)
    visible = sum(float(bbm92_key_rate(n, (1 - v) / 2)) for n, v, _, _ in PUBLISHED)
    assert visible == pytest.approx(1797.3, abs=0.1)
    assert sum(printed for *_, printed in PUBLISHED) == pytest.approx(1946.9, abs=0.01)


def test_the_row_that_does_not_follow_from_its_columns():
    """C50 and C30: 454.6 would need an error rate of 1.32 %, or 859 sifted bits per s."""
    sifted, visibility, _, printed = PUBLISHED[5]
    assert bbm92_key_rate(sifted, 0.0132) == pytest.approx(printed, abs=0.5)
    assert bbm92_key_rate(859, (1 - visibility) / 2) == pytest.approx(printed, abs=0.5)
    rounding = [float(bbm92_key_rate(sifted, (1 - visibility + d) / 2)) for d in (5e-4, -5e-4)]
    assert rounding == pytest.approx([307.9, 311.0], abs=0.1)
    first = [float(bbm92_key_rate(1613.9, (0.029 + d) / 2)) for d in (5e-4, -5e-4)]
    assert first == pytest.approx([1220.3, 1231.1], abs=0.1)  # the printed 1230.6 is inside


def test_no_negative_rates_and_different_bases():
    assert bbm92_key_rate(1000, 0.2) == 0.0
    expected = 1000 * (1 - 1.2 * binary_entropy(0.02) - binary_entropy(0.05))
    assert bbm92_key_rate(1000, 0.02, 0.05) == pytest.approx(expected)
    assert np.shape(bbm92_key_rate(np.ones(3), 0.02)) == (3,)


@pytest.mark.parametrize(
    ("levels", "eta", "background", "expected"),
    [
        (TR1, 2e-3, 1e-6, (1.00050e-3, 0.02048, 0.021496, 0.0, 1.89253e-3, 0.025271, 1.51640e-4)),
        (
            TR2,
            4e-3,
            2e-6,
            (2.39912e-3, 0.02040, 0.023967, 1.7e-8, 3.89799e-3, 0.022225, 3.36276e-4),
        ),
    ],
)
def test_clean_links_of_the_sheet(levels, eta, background, expected):
    gains, errors = gains_and_errors(levels, eta, background, 0.02)
    y0, y1, e1 = decoy_bounds(levels, gains, errors)
    rate = decoy_key_rate(levels, gains, errors, efficiency=1.2)
    found = (gains[0], errors[0], errors[1], y0, y1, e1, rate)
    for value, printed in zip(found, expected, strict=True):
        # 1e-4, or half of the last digit that is printed
        assert value == pytest.approx(printed, rel=1e-4, abs=5e-6 if printed > 0.01 else 1e-11)


@pytest.mark.parametrize("seed", range(20))
def test_bounds_hold_for_any_channel(seed):
    """Yields drawn at random by photon number, mixed with Poisson weights: bounds must hold."""
    rng = np.random.default_rng(seed)
    photons = np.arange(30)
    yields = np.sort(rng.random(30) ** 4)
    wrong = rng.random(30) * 0.5
    factorial = np.cumprod(np.maximum(photons, 1).astype(float))
    weights = [np.exp(-k) * k**photons / factorial for k in TR1]
    gains = np.array([w @ yields for w in weights])
    errors = np.array([w @ (yields * wrong) for w in weights]) / gains
    y0, y1, e1 = decoy_bounds(TR1, gains, errors)
    assert y0 <= yields[0] + 1e-12
    assert y1 <= yields[1] + 1e-12
    assert e1 >= min(wrong[1], 0.5) - 1e-9 or y1 == 0


def test_infinite_decoys_end_where_the_literature_says():
    """GYS: 0.21 dB/km, 4.5 %, 1.7e-6, 3.3 %, mu 0.48, f 1.22 reach 142 km (Ma et al. 2005)."""
    levels = (0.48, 1e-3, 1e-6)  # decoys so weak that the bounds are tight

    def rate(distance):
        eta = 10 ** (-0.021 * distance) * 0.045
        gains = 1.7e-6 + 1 - np.exp(-eta * np.array(levels))
        errors = (0.5 * 1.7e-6 + 0.033 * (1 - np.exp(-eta * np.array(levels)))) / gains
        return decoy_key_rate(levels, gains, errors, efficiency=1.22)

    assert rate(141.5) > 0
    assert rate(142.4) == 0


@pytest.mark.parametrize(
    ("levels", "eta", "background", "block", "length", "phase"),
    [
        (TR1, 1.8033e-3, 1e-6, 1e7, 239_727, 0.0864),
        (TR1, 1.8033e-3, 1e-6, 1e8, 17_665_313, 0.0429),
        (TR1, 1.8033e-3, 1e-6, 1e9, 236_793_904, 0.0328),
        (TR2, 3.6065e-3, 2e-6, 1e7, 0, None),
        (TR2, 3.6065e-3, 2e-6, 1e8, 4_859_598, 0.0746),
        (TR2, 3.6065e-3, 2e-6, 1e9, 176_610_135, 0.0388),
    ],
)
def test_finite_keys_of_the_sheet(levels, eta, background, block, length, phase):
    gains, errors = gains_and_errors(levels, eta, background, 0.0195, 0.015)
    counts = SENT * gains / (SENT @ gains) * block
    wrong = counts * errors
    leaked = 1.16 * block * binary_entropy(wrong.sum() / block)
    found = finite_key(levels, SENT, counts, counts, wrong, leaked)
    assert found.length == pytest.approx(length, rel=1e-3)
    if phase:
        assert found.phase_error == pytest.approx(phase, abs=1e-4)
    assert finite_key_length(levels, SENT, counts, counts, wrong, leaked) == found.length


def test_what_security_costs_to_the_bit():
    """6 log2(21 / 1e-10) = 225.67 and log2(2 / 1e-15) = 50.83 bits."""
    gains, errors = gains_and_errors(TR1, 1.8033e-3, 1e-6, 0.0195, 0.015)
    counts = SENT * gains / (SENT @ gains) * 1e7
    found = finite_key(TR1, SENT, counts, counts, counts * errors, 1e6)
    kept = found.vacuum + found.single * (1 - binary_entropy(found.phase_error))
    assert found.length == np.floor(kept - 1e6 - 225.67 - 50.83)
    looser = finite_key(TR1, SENT, counts, counts, counts * errors, 1e6, correctness=2.0**-20)
    assert looser.length == np.floor(kept - 1e6 - 225.67 - 21)


def test_finite_keys_grow_towards_the_asymptotic_fraction():
    gains, errors = gains_and_errors(TR1, 1.8033e-3, 1e-6, 0.0195, 0.015)
    share = SENT * gains / (SENT @ gains)
    fractions = []
    for block in (1e8, 1e10, 1e14):
        counts = share * block
        leaked = 1.16 * block * binary_entropy(errors @ share)
        fractions.append(
            finite_key_length(TR1, SENT, counts, counts, counts * errors, leaked) / block
        )
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(0.2653, rel=1e-3)


def fraction(levels, eta, background, block):
    gains, errors = gains_and_errors(levels, eta, background, 0.0195, 0.015)
    share = SENT * gains / (SENT @ gains)
    leaked = 1.16 * block * binary_entropy(errors @ share)
    counts = share * block
    return finite_key_length(levels, SENT, counts, counts, counts * errors, leaked) / block


def test_short_blocks_give_little_or_nothing():
    """TR2 ends at 0.2414 and needs more than 5e7 bits; an hour of TR1 is within 13 %."""
    assert fraction(TR2, 3.6065e-3, 2e-6, 1e14) == pytest.approx(0.2414, rel=1e-3)
    assert fraction(TR2, 3.6065e-3, 2e-6, 5e7) < 1e-2
    hour = fraction(TR1, 1.8033e-3, 1e-6, 7e8) / fraction(TR1, 1.8033e-3, 1e-6, 1e14)
    assert hour == pytest.approx(0.87, abs=0.005)


def test_blocks_without_anything_give_no_key():
    nothing = np.zeros(3)
    assert finite_key(TR1, SENT, nothing, nothing, nothing, 0).length == 0
    assert finite_key(TR1, SENT, [100, 5, 1], [100, 5, 1], [0, 0, 0], 0).length == 0


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: binary_entropy(1.5), "p"),
        (lambda: binary_entropy(np.nan), "p"),
        (lambda: binary_entropy("x"), "p"),
        (lambda: bbm92_key_rate(-1, 0.1), "sifted_rate"),
        (lambda: bbm92_key_rate(1, 0.7), "bit_error"),
        (lambda: bbm92_key_rate(np.ones(2), np.zeros(3)), "sifted_rate"),
        (lambda: max_qber(0.5), "efficiency"),
        (lambda: decoy_bounds((0.1, 0.2, 0.3), np.ones(3) / 2, np.zeros(3)), "intensities"),
        (lambda: decoy_bounds((0.3, 0.2, 0.15), np.ones(3) / 2, np.zeros(3)), "intensities"),
        (lambda: decoy_bounds(TR1, np.ones(2) / 2, np.zeros(3)), "gains"),
        (lambda: decoy_key_rate(TR1, np.ones(3) / 2, np.zeros(3) + 2), "errors"),
        (lambda: finite_key(TR1, [1, 1, 1], SENT, SENT, SENT, 0), "probabilities"),
        (lambda: finite_key(TR1, SENT, SENT, SENT, SENT + 1, 0), "test_errors"),
        (lambda: finite_key(TR1, SENT, SENT, SENT, SENT, -1), "leaked_bits"),
    ],
)
def test_wrong_arguments_are_named(call, argument):
    with pytest.raises(ValueError, match=f"^{argument}"):
        call()
