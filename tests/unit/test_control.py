"""The running side of control.jsonl, without a run around it."""

from __future__ import annotations

import pytest

from labctl.clock import VirtualClock
from labctl.errors import Aborted, RequestError
from labctl.run.control import Control, asked, send


def control(path, told=None) -> Control:
    before = asked(path)
    return Control(path, VirtualClock(), lambda paused, reason: (told or []).append(paused), before)


def test_a_request_to_abort_is_obeyed_with_its_reason(tmp_path):
    running = control(tmp_path)
    running.look()
    send(tmp_path, "abort", "too\nwarm")
    with pytest.raises(Aborted, match=r"^too warm$"):
        running.look()


def test_while_the_bench_is_made_safe_nothing_is_obeyed(tmp_path):
    running = control(tmp_path)
    running.ignore()
    for verb in ("abort", "pause"):
        send(tmp_path, verb)
        running.look()  # neither raises nor stands still


def test_what_was_asked_of_an_earlier_stretch_is_history(tmp_path):
    send(tmp_path, "abort")
    control(tmp_path).look()


def test_lines_that_nobody_meant_are_passed_over(tmp_path):
    running = control(tmp_path)
    (tmp_path / "control.jsonl").write_bytes(b'{"do"\n[]\n{"do": 5}\n\xff\xfe\n{"do":"abort"}')
    running.look()  # the last line is not finished yet
    with (tmp_path / "control.jsonl").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(Aborted, match="aborted by request"):
        running.look()


def test_an_unknown_verb_is_refused(tmp_path):
    with pytest.raises(RequestError, match="unknown control verb 'halt'"):
        send(tmp_path, "halt")
    assert not (tmp_path / "control.jsonl").exists()
