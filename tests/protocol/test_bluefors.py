"""Bluefors control software: the answers of the sheet for driver and simulator, then together."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import scripted, simulated

from drivers.bluefors import Bluefors
from labctl.errors import InstrumentError, RequestError
from simulated_instruments.bluefors import SimBluefors
from simulated_instruments.world import World

#: As the sheet prints it.
ANSWER = {
    "data": {
        "mapper.bf.temperatures.tmixing": {
            "content": {
                "latest_valid_value": {
                    "value": "0.0201",
                    "status": "SYNCHRONIZED",
                    "outdated": False,
                    "date": 1,
                },
                "latest_value": {"value": "0.0201"},
            }
        }
    }
}


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: it:1\r\nAccept: */*\r\n\r\n".encode()


def response(answer, status="200 OK"):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


PATH = "/values/mapper/bf/temperatures/tmixing/?prettyprint=0"


def changed(**changes):
    answer = json.loads(json.dumps(ANSWER))
    content = answer["data"]["mapper.bf.temperatures.tmixing"]["content"]
    content["latest_valid_value"] |= changes
    return answer


def test_driver_reads_the_answer_of_the_sheet():
    cryostat, script = scripted(
        Bluefors,
        (request(PATH), response(ANSWER)),
        (request(f"{PATH}&key=a%26b"), response(ANSWER)),
        key="",
    )
    assert cryostat.temperature_k == 0.0201
    cryostat._key = "a&b"
    assert cryostat.temperature("tmixing") == 0.0201
    assert not script.exchanges


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (changed(outdated=True), "is outdated"),
        (changed(status="DISCONNECTED"), "is outdated"),
        (changed(value="-0.1"), "shows -0.1, which cannot be"),
        (changed(value="nan"), "which cannot be"),
        (changed(value=""), "was answered with"),
        ({"data": {}}, "was answered with"),
        ([], "was answered with"),
        (b"<html>", "not JSON"),
    ],
)
def test_what_is_no_temperature_now_is_an_error(answer, complaint):
    cryostat, _ = scripted(Bluefors, (request(PATH), response(answer)))
    with pytest.raises(InstrumentError, match=complaint) as caught:
        _ = cryostat.temperature_k
    assert str(caught.value).startswith("it: ")
    assert "\n" not in str(caught.value)


def test_refusals_of_the_software():
    refused = response({"error": {"description": "Unauthorized"}}, "401 Unauthorized")
    cryostat, _ = scripted(Bluefors, (request(PATH), refused))
    with pytest.raises(InstrumentError, match=r"answered with 401 .*Unauthorized.*check the key"):
        cryostat.identify()


# ---- the simulator alone


def get(path, sim=None, now=100.0):
    endpoint = (sim or SimBluefors(World(1), "cryostat")).connect()
    [(_, reply)] = endpoint.feed(request(path), now)
    head, _, body = reply.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_simulator_answers_in_the_same_form():
    status, answer = get(PATH)
    assert status == 200
    [(target, value)] = answer["data"].items()
    assert target == "mapper.bf.temperatures.tmixing"
    valid = value["content"]["latest_valid_value"]
    assert isinstance(valid["value"], str)
    assert float(valid["value"]) == pytest.approx(0.010, rel=0.02)
    assert (valid["status"], valid["outdated"]) == ("SYNCHRONIZED", False)
    assert get("/values/nothing/")[0] == 404


def test_simulator_wants_its_key():
    sim = SimBluefors(World(1), "cryostat")
    sim.key = "secret"
    assert get(PATH, sim)[0] == 401
    assert get(f"{PATH}&key=secret", sim)[0] == 200


@given(st.binary(max_size=80))
def test_simulator_survives_anything(junk):
    sim = SimBluefors(World(1), "cryostat")
    sim.connect().feed(junk, 0.0)
    assert get(PATH, sim)[0] == 200


# ---- together


def test_driver_and_simulator():
    cryostat, sim = simulated(SimBluefors, Bluefors, stage="t4k")
    assert cryostat.check_identity() == "Bluefors control software with t4k"
    assert cryostat.temperature_k == pytest.approx(3.6, rel=0.02)
    cold = cryostat.temperature("tmixing")
    sim.model.load(cryostat.clock.now(), 6, 4e-3)
    cryostat.clock.sleep(100.0)
    assert cryostat.temperature("tmixing") > 10 * cold
    assert cryostat.pressure("p3") == 312.0
    assert cryostat.snapshot()["temperature_k"] == pytest.approx(3.6, rel=0.02)
    sim.outdated.add("t4k")
    with pytest.raises(InstrumentError, match="outdated"):
        _ = cryostat.temperature_k


def test_wrong_requests():
    cryostat, _ = simulated(SimBluefors, Bluefors)
    with pytest.raises(RequestError, match="stage 'warm' is not one of t50k"):
        cryostat.temperature("warm")
    with pytest.raises(RequestError, match="gauge 'p7' is not one of p1"):
        cryostat.pressure("p7")
    with pytest.raises(RequestError, match="stage 'x'"):
        simulated(SimBluefors, Bluefors, stage="x")
    with pytest.raises(InstrumentError, match="404"):
        cryostat.temperature("tmagnet")
