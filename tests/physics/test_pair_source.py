"""The pair source against closed forms, and against the publication's tables."""

import math

import numpy as np
import pytest

from labctl.analysis.qkd import bbm92_key_rate
from simulated_instruments.physics.network_light import LightState, NetworkLight, Receivers
from simulated_instruments.physics.pair_source import (
    MIXED,
    PUMPS,
    STIMULATED,
    SUMS,
    PairSource,
    frequency_thz,
)

# ITU channels of the publication's Table 1
DEGENERATE = [(32, 36), (28, 40), (24, 44), (18, 50), (14, 54), (30, 38), (26, 42), (20, 48),
              (16, 52), (12, 56), (44, 48), (40, 52), (36, 56), (42, 50), (38, 54), (32, 60)]  # fmt: skip
TWO_PUMPS = [(36, 44), (32, 48), (28, 52), (24, 56), (38, 42), (30, 50), (26, 54), (20, 60)]

TAU, LINEWIDTH, V0 = 3.2e-9, 200e6, 0.99
CAPTURED = 1.0 - math.exp(-math.pi * LINEWIDTH * TAU)
EFFICIENCY = {38: 0.0918, 42: 0.0918, 54: 0.04364, 30: 0.07023, 50: 0.04529, 26: 0.04426}
USERS = {"A": (38,), "B": (42,), "C": (54, 50), "D": (30, 26)}


def test_all_pairs_of_table_1_conserve_energy():
    assert len(set(DEGENERATE + TWO_PUMPS)) == 24
    for a, b in DEGENERATE:
        assert a + b in SUMS[1:]
        pump = PUMPS[SUMS[1:].index(a + b)]
        assert frequency_thz(a) + frequency_thz(b) == pytest.approx(2 * frequency_thz(pump))
    for a, b in TWO_PUMPS:
        assert a + b == MIXED
        assert frequency_thz(a) + frequency_thz(b) == pytest.approx(sum(map(frequency_thz, PUMPS)))
    assert [sum(pair) for pair in DEGENERATE].count(68) == 10
    assert [sum(pair) for pair in DEGENERATE].count(92) == 6
    assert STIMULATED == (22, 58)
    assert frequency_thz(34) == pytest.approx(193.4)
    assert 299_792.458 / frequency_thz(46) == pytest.approx(1540.557, abs=5e-4)


def model(power, excess=None):
    """Rates per s and visibilities of all links, as the shared facts calculate them."""
    emission = PairSource().emission(power / 2, power / 2, 0.0, 0.0)
    into = sum(emission.pairs) + emission.linear
    singles = {
        user: sum(EFFICIENCY[c] for c in channels) * into * (excess or {}).get(user, 1.0)
        for user, channels in USERS.items()
    }
    owner = {c: user for user, channels in USERS.items() for c in channels}
    links = {}
    for a, b in ((38, 42), (38, 54), (38, 30), (42, 50), (42, 26), (50, 30), (54, 26)):
        rate = emission.pairs[SUMS.index(a + b)]
        true = EFFICIENCY[a] * EFFICIENCY[b] * rate * CAPTURED
        accidental = singles[owner[a]] * singles[owner[b]] * TAU
        sifted = true / 4 + accidental / 2
        links[a, b] = sifted, V0 * true / 4 / sifted
    return into, links


def test_singles_at_the_reference_power():
    into, _ = model(0.4)
    for channel, kilohertz in ((30, 106.4), (42, 139.1), (54, 66.1)):
        assert 1e-3 * EFFICIENCY[channel] * into == pytest.approx(kilohertz, rel=1e-3)


@pytest.mark.parametrize(
    ("power", "link", "sifted", "visibility"),
    [
        (0.4, (38, 42), 1613.0, 0.9710),
        (0.4, (38, 54), 251.5, 0.8719),
        (0.4, (38, 30), 395.0, 0.8932),
        (0.4, (42, 50), 259.8, 0.8757),
        (0.4, (42, 26), 263.2, 0.8448),
        (0.4, (50, 30), 634.4, 0.9316),
        (0.4, (54, 26), 400.0, 0.8974),
        (0.2, (38, 42), 397.8, 0.9843),
        (0.2, (42, 26), 59.0, 0.9418),
    ],
)
def test_links_of_the_network(power, link, sifted, visibility):
    found = model(power)[1][link]
    assert found[0] == pytest.approx(sifted, rel=1e-3)
    assert found[1] == pytest.approx(visibility, rel=1e-3)


def key_rate(power, link):
    sifted, visibility = model(power)[1][link]
    return float(bbm92_key_rate(sifted, (1 - visibility) / 2))


@pytest.mark.parametrize(
    ("power", "link", "rate"),
    [
        (0.4, (38, 42), 1225.0),
        (0.4, (38, 54), 61.6),
        (0.4, (38, 30), 133.8),
        (0.4, (42, 50), 67.8),
        (0.4, (42, 26), 35.2),
        (0.2, (38, 42), 339.8),
        (0.2, (42, 26), 34.4),
    ],
)
def test_key_rates_of_the_network(power, link, rate):
    assert key_rate(power, link) == pytest.approx(rate, rel=1e-3, abs=0.06)


def test_power_trades_the_best_link_against_the_worst():
    assert sum(key_rate(0.2, link) for link in model(0.2)[1]) == pytest.approx(693.4, rel=1e-3)
    assert key_rate(0.461, (42, 26)) > 0
    assert key_rate(0.463, (42, 26)) == 0
    powers = np.arange(0.2, 0.46, 0.01)
    worst = [key_rate(power, (42, 26)) for power in powers]
    assert powers[int(np.argmax(worst))] == pytest.approx(0.315, abs=0.01)
    best = [key_rate(power, (38, 42)) for power in powers]
    assert best == sorted(best)


def test_ratio_of_the_processes_follows_from_the_published_table():
    """T = 4 N V / V0; the efficiencies of all channels drop out."""
    published = {(38, 42): (1613.9, 0.971), (38, 54): (260.0, 0.844), (38, 30): (405.6, 0.871),
                 (42, 50): (268.2, 0.849), (42, 26): (267.4, 0.832), (50, 30): (585.0, 0.932),
                 (54, 26): (460.0, 0.848)}  # fmt: skip
    true = {link: 4 * n * v / 0.99 for link, (n, v) in published.items()}
    ends = true[38, 54] * true[38, 30] * true[42, 50] * true[42, 26]
    ratio = (ends / (true[38, 42] ** 2 * true[50, 30] * true[54, 26])) ** 0.25
    assert ratio == pytest.approx(0.2945, abs=1e-4)
    pairs = PairSource().emission(0.2, 0.2, 0.0, 0.0).pairs
    assert pairs[1] / pairs[SUMS.index(80)] == pytest.approx(ratio, abs=1e-4)


def test_excess_noise_brings_the_degenerate_links_to_the_published_visibilities():
    _, links = model(0.4, {"C": 1.35, "D": 1.21})
    published = {(38, 54): 0.844, (38, 30): 0.871, (42, 50): 0.849, (42, 26): 0.832,
                 (54, 26): 0.848}  # fmt: skip
    for link, visibility in published.items():
        assert links[link][1] == pytest.approx(visibility, abs=0.013)
    assert links[50, 30][1] == pytest.approx(0.898, abs=1e-3)


def test_rates_go_as_the_square_of_the_pump_and_noise_linearly():
    source = PairSource()
    once, twice = (source.emission(p, p, 0.0, 0.0) for p in (0.2, 0.4))
    assert np.array(twice.pairs) == pytest.approx(4 * np.array(once.pairs))
    assert twice.linear == pytest.approx(2 * once.linear)
    first_alone = source.emission(0.2, 0.0, 0.0, 0.0)
    assert first_alone.pairs[0] == first_alone.pairs[2] == 0.0
    assert first_alone.pairs[1] == pytest.approx(0.2945 * 0.867e6)


def test_a_pump_off_resonance_makes_fewer_pairs():
    source = PairSource()
    on = source.emission(0.2, 0.2, 0.0, 0.0)
    off = source.emission(0.2, 0.2, 100e6, 0.0)  # half a linewidth: half the light
    assert off.pairs[0] / on.pairs[0] == pytest.approx(0.5 / (1 + 0.25))
    assert off.pairs[1] / on.pairs[1] == pytest.approx(0.25 / (1 + 1.0))
    assert off.pairs[2] == on.pairs[2]
    assert off.linear / on.linear == pytest.approx(0.75)
    assert source.transmission(0.0) == 0.0
    assert source.transmission(1e9) == pytest.approx(1.0, abs=0.01)


def light(watched=lambda: True, phase=0.0, rates=(1e6, 2e5, 0.0)):
    """Two users with one channel each, and a third whose channel pairs with both."""
    channels = (38, 42, 30)
    receivers = Receivers(channels, 3, (1.0, 1.0, 2.0), (0, 0, 5000), 10_000, 0.9, LINEWIDTH)
    looked = []

    def look(times):
        looked.extend(times.tolist())
        n = len(times)
        arrive = np.zeros((n, 3, 3))
        arrive[:, [0, 1, 2], [0, 1, 2]] = 0.1, 0.2, 0.05
        phases = np.zeros((n, 3, 2))
        phases[:, 0, 0] = phase
        return LightState(np.tile(rates, (n, 1)), np.full(n, 1e4), phases, np.zeros((n, 3)), arrive)

    return NetworkLight(look, receivers, lambda name: 5, watched), looked


def test_links_and_single_photons_add_up():
    network, _ = light()
    links, singles = network.sources(network.state(0))
    found = {link.users: link for link in links}
    assert set(found) == {(0, 1), (2, 0)}  # 38 + 42 = 80, 30 + 38 = 68; 30 + 42 fits no pump
    assert found[0, 1].rate == pytest.approx(1e6 * 0.1 * 0.2)
    assert found[2, 0].rate == pytest.approx(2e5 * 0.1 * 0.05)
    assert found[2, 0].delays == (5000, 0)
    assert found[0, 1].same == pytest.approx((0.95,) * 4)
    into = 1.2e6 + 1e4
    for user, (arrive, excess) in enumerate(((0.1, 1.0), (0.2, 1.0), (0.05, 2.0))):
        total = next(s.rate for s in singles if s.user == user)
        total += sum(link.rate for link in links if user in link.users)
        assert total == pytest.approx(into * arrive * excess)
        assert network.rate(user, 0.0) == pytest.approx(total)


def test_an_interferometer_at_another_phase_changes_the_correlation_of_its_basis_only():
    network, _ = light(phase=math.pi)
    link = next(one for one in network.sources(network.state(0))[0] if one.users == (0, 1))
    assert link.same == pytest.approx((0.05, 0.05, 0.95, 0.95))


def test_photons_are_those_of_their_time_and_nobody_looks_without_need():
    counting = [False]
    network, looked = light(lambda: counting[0])
    network.advance(100.0)
    assert looked == []
    counting[0] = True
    network.advance(100.05)
    assert looked == pytest.approx([100.0, 100.01, 100.02, 100.03, 100.04, 100.05])
    first = [times.copy() for times in network.arrivals(10_002)]
    again, _ = light()
    again.advance(100.05)
    assert all(np.array_equal(a, b) for a, b in zip(first, again.arrivals(10_002), strict=True))
    assert all(10_002 * 10**10 <= t < 10_003 * 10**10 for times in first for t in times)
