"""The filter as vendor scripts drive it: plain `requests`, bodies from json.dumps, no content type.

The uploader below is written from the vendor's description of the interface, not from our driver.
"""

from __future__ import annotations

import json
import math

import pytest

from simulated_instruments.server import address_of, serving
from simulated_instruments.waveshaper import SimWaveShaper
from simulated_instruments.world import World

requests = pytest.importorskip("requests", reason="requests is not installed: pip install .[test]")

TIMEOUT = 20


@pytest.fixture
def url():
    with serving({"shaper": SimWaveShaper(World(1), "shaper")}, pace=50) as addresses:
        address = address_of(addresses, "shaper")
        assert address.startswith("http://127.0.0.1:")
        yield address + "/waveshaper"


def load(url, **fields):
    """As the vendor's examples do it: a bare POST of a text."""
    reply = requests.post(url + "/loadprofile", json.dumps(fields), timeout=TIMEOUT)
    assert "Content-Type" not in reply.request.headers
    assert reply.status_code == 200
    return reply.json()


def profile_text(start, stop, line):
    """WSP text: THz, dB, rad, port of every grid point; `line` gives the last three."""
    count = round((stop - start) / 0.001) + 1
    rows = []
    for index in range(count):
        frequency = start + index * 0.001
        rows.append("{:.4f}\t{:.4f}\t{:.4f}\t{:d}\n".format(frequency, *line(index, frequency)))
    return "".join(rows)


def comb(index, frequency):
    """Three ports of a 25 GHz comb with a phase ramp, the rest blocked."""
    line = min(index // 25, 200)  # the last point alone would be narrower than 10 GHz
    if line % 4 == 3:
        return 60.0, 0.0, 0
    return (line % 7) * 1.5, math.fmod(0.01 * line, 2 * math.pi), 1 + line % 4


def test_device_info(url):
    info = requests.get(url + "/devinfo", timeout=TIMEOUT).json()
    assert {
        "model",
        "sno",
        "ver",
        "partno",
        "startfreq",
        "stopfreq",
        "ip",
        "portcount",
        "rctext",
    } <= (set(info))
    assert (info["startfreq"], info["stopfreq"], info["portcount"]) == (191.25, 196.275, 4)


def test_full_profile_goes_up_and_comes_back_identical(url):
    info = requests.get(url + "/devinfo", timeout=TIMEOUT).json()
    text = profile_text(info["startfreq"], info["stopfreq"], comb)
    assert text.count("\n") == 5026
    answer = load(url, type="wsp", wsp=text)
    assert answer["rc"] == 0
    assert answer["sno"] == info["sno"]
    back = requests.get(url + "/getprofile", timeout=TIMEOUT)
    assert back.status_code == 200
    assert back.text == text


def test_json_argument_and_keep_alive_session_work_as_well(url):
    text = profile_text(191.25, 196.275, comb)
    with requests.Session() as session:
        for content in (text, text.replace("\t1\n", "\t2\n"), text):
            body = {"type": "wsp", "wsp": content}
            reply = session.post(url + "/loadprofile", json=body, timeout=TIMEOUT)
            assert reply.json()["rc"] == 0
            assert session.get(url + "/getprofile", timeout=TIMEOUT).text == content


@pytest.mark.parametrize("kind", ["bandpass", "bandstop", "gaussian"])
def test_predefined_profiles(url, kind):
    assert load(url, type=kind, port=2, center=193.1, bandwidth=0.1, attn=3)["rc"] == 0
    rows = read_back(url)
    assert rows[193.1][2] == 2
    inside = kind != "bandstop"
    assert rows[193.1][0] == (3.0 if inside else 60.0)
    assert rows[194.0][0] == (60.0 if inside else 3.0)


def test_block_all_and_transmit(url):
    assert load(url, type="transmit")["rc"] == 0
    assert {attenuation for attenuation, _, _ in read_back(url).values()} == {0.0}
    assert load(url, type="blockall")["rc"] == 0
    assert {attenuation for attenuation, _, _ in read_back(url).values()} == {60.0}


def read_back(url):
    rows = {}
    for line in requests.get(url + "/getprofile", timeout=TIMEOUT).text.splitlines():
        frequency, attenuation, phase, port = line.split("\t")
        rows[float(frequency)] = (float(attenuation), float(phase), int(port))
    return rows


GOOD = [f"{191.25 + 0.001 * index:.4f}\t0.0000\t0.0000\t1\n" for index in range(5026)]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "bandpass", "port": 5, "center": 193.1, "bandwidth": 0.1, "attn": 0}, -29),
        ({"type": "bandpass", "port": 1, "center": 200.0, "bandwidth": 0.1, "attn": 0}, -30),
        ({"type": "bandpass", "port": 1, "center": 193.1, "bandwidth": 0.1, "attn": -1}, -31),
        ({"type": "bandpass", "port": 1, "center": 193.1, "bandwidth": 0.005, "attn": 0}, -34),
        ({"type": "bandpass", "port": 1}, -1),
        ({"type": "rainbow"}, -1),
        ({}, -1),
        ({"type": "wsp"}, -1),
        ({"type": "wsp", "wsp": "complete nonsense"}, -32),
        ({"type": "wsp", "wsp": "".join(GOOD[::2])}, -33),
        ({"type": "wsp", "wsp": "".join([*GOOD[:-1], GOOD[-1].replace("\t1\n", "\t9\n")])}, -29),
        ({"type": "wsp", "wsp": "".join([GOOD[0].replace("191.25", "190.25"), *GOOD[1:]])}, -30),
    ],
)
def test_bad_profiles_get_the_code_and_change_nothing(url, fields, code):
    assert load(url, type="wsp", wsp="".join(GOOD))["rc"] == 0
    answer = load(url, **fields)
    assert answer["rc"] == code, answer
    assert answer["rctext"]
    assert requests.get(url + "/getprofile", timeout=TIMEOUT).text == "".join(GOOD)


def test_a_body_that_is_no_json(url):
    reply = requests.post(url + "/loadprofile", "{type: wsp", timeout=TIMEOUT)
    assert reply.status_code == 200
    assert reply.json()["rc"] == -1


def test_wrong_paths_and_methods_are_http_errors(url):
    assert requests.get(url + "/nothing", timeout=TIMEOUT).status_code == 404
    assert requests.get(url + "/loadprofile", timeout=TIMEOUT).status_code == 405
    assert requests.post(url + "/getprofile", "x", timeout=TIMEOUT).status_code == 405
