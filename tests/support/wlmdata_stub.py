"""A shared library with the functions of wlmData that asks a simulator behind a socket.

What it exports follows from signatures, of ctypes, that a client declares. Each function sends its
call as one line to 127.0.0.1 at the port in WLMDATA_STUB_PORT and gives what comes back.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HELPER = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int wire = -1;

static int dial(void) {
    struct sockaddr_in there = {.sin_family = AF_INET};
    there.sin_port = htons(atoi(getenv("WLMDATA_STUB_PORT")));
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    wire = socket(AF_INET, SOCK_STREAM, 0);
    return connect(wire, (struct sockaddr *)&there, sizeof there);
}

static double ask(const char *line, const char *kinds, void **outs) {
    static char reply[65536];
    size_t got = 0;
    if (wire < 0 && dial() != 0) { close(wire); wire = -1; return -5; }
    if (write(wire, line, strlen(line)) < 0) { close(wire); wire = -1; return -5; }
    while (got == 0 || reply[got - 1] != '\n') {
        ssize_t more = read(wire, reply + got, sizeof reply - 1 - got);
        if (more <= 0) { close(wire); wire = -1; return -5; }
        got += more;
    }
    reply[got] = 0;
    char *place = strstr(reply, "{\"result\":");
    if (!place) return -6;
    place += 10 + (place[10] == '[');
    double result = strtod(place, &place);
    for (; *kinds; kinds++, outs++) {
        place += strspn(place, ", ");
        if (*kinds == 't') {
            size_t length = strcspn(++place, "\"");
            memcpy(*outs, place, length);
            ((char *)*outs)[length] = 0;
            place += length + 1;
        } else {
            double value = strtod(place, &place);
            if (*kinds == 'i') *(int *)*outs = (int)value;
            else *(double *)*outs = value;
        }
    }
    return result;
}
"""

REALS = (ctypes.c_double,)
Signatures = Mapping[str, tuple[Any, Iterable[Any]]]


def _is_pointer(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, ctypes._Pointer)


def _function(name: str, result: Any, kinds: list[Any]) -> str:
    """The C source of one function."""
    declared, formats, passed, outs, letters = [], [], [], [], ""
    for number, kind in enumerate(kinds):
        argument = f"a{number}"
        text = kind is ctypes.c_char_p or (_is_pointer(kind) and kind._type_ is ctypes.c_char)
        if text and name.startswith("Set"):
            declared.append(f"char *{argument}")
            formats.append('\\"%s\\"')
            passed.append(argument)
        elif text or _is_pointer(kind):
            declared.append(f"void *{argument}")
            if name.startswith(("Get", "Wait")):
                outs.append(argument)
                letters += "t" if text else "d" if kind._type_ in REALS else "i"
        elif kind in REALS:
            declared.append(f"double {argument}")
            formats.append("%.17g")
            passed.append(argument)
        else:
            declared.append(f"int {argument}")
            formats.append("%d")
            passed.append(argument)
    line = ",".join([f'\\"{name}\\"', *formats])
    arguments = "".join(f", {a}" for a in passed)
    returned = "double" if result in REALS else "long"
    return (
        f"{returned} {name}({', '.join(declared) or 'void'}) {{\n"
        f"    char line[4096]; void *outs[] = {{{', '.join([*outs, 'NULL'])}}};\n"
        f'    snprintf(line, sizeof line, "[{line}]\\n"{arguments});\n'
        f'    return ({returned})ask(line, "{letters}", outs);\n}}\n'
    )


def build(target: Path, signatures: Signatures) -> Path:
    """Compile the library to `target`; RuntimeError where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("no C compiler")
    source = target.with_suffix(".c")
    bodies = [_function(n, result, list(kinds)) for n, (result, kinds) in signatures.items()]
    source.write_text(HELPER + "\n".join(bodies))
    command = [compiler, "-shared", "-fPIC", "-w", "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return target


class Declared:
    """Takes what a client declares of a library, as ctypes would."""

    class Function:
        restype: Any = ctypes.c_int
        argtypes: Any = ()

    def __init__(self) -> None:
        self.__dict__["functions"] = {}

    def __getattr__(self, name: str) -> Any:
        return self.functions.setdefault(name, Declared.Function())

    def signatures(self) -> dict[str, tuple[Any, list[Any]]]:
        return {n: (f.restype, list(f.argtypes or ())) for n, f in self.functions.items()}
