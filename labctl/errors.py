"""Every exception of the framework, each with the exit code that the command line gives it.

A message is one line that names the instrument or file, what was asked, what came back and what
to do about it. The command line prints it as it is and never shows a traceback for a `LabError`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable


class LabError(Exception):
    """Base of everything that labctl raises on purpose; exit code 1 (failed)."""

    exit_code = 1


class RequestError(LabError):
    """The request was wrong: unknown name, value out of range, unreadable file; exit code 2."""

    exit_code = 2


class ValueRefused(RequestError, ValueError):
    """A property does not take this value; a ValueError too, as pymeasure's own refusals are."""


class BenchFileError(RequestError):
    """A bench file is wrong; the message names file, line and key."""


class RunLocked(RequestError):
    """Another process writes to this run folder."""


class StorageError(LabError):
    """A run folder cannot be written or is damaged; the message names the file."""


class FileUnusable(StorageError, RequestError):
    """A file or place that was named cannot be read or written as it is; exit code 2."""


class ClockError(LabError):
    """A clock was used against its rules, for example by a second sleeping thread."""


class TransportError(LabError):
    """The bytes did not get through."""


class TransportTimeout(TransportError):
    """No complete answer arrived in time."""


class ConnectionLost(TransportError):
    """The far end closed or refused the connection."""


class InstrumentError(LabError):
    """An instrument complained, or answered something that makes no sense."""


class IdentityMismatch(InstrumentError):
    """Another instrument than the expected one answers at this address."""


class SafetyError(LabError):
    """One or more instruments could not be made safe; names each."""


class Aborted(LabError):
    """The user stopped the run; raised out of a yield point; exit code 3."""

    exit_code = 3


class Interrupted(Aborted):
    """A signal asked this process to end, by Ctrl-C for example; exit code 3."""


class InterlockTripped(Aborted):
    """A watched quantity left its limits; raised out of a yield point; exit code 3."""


class ReplayMismatch(LabError):
    """A replayed run differs from its recording; exit code 4."""

    exit_code = 4


def cannot_write(place: object, error: OSError, remedy: str) -> StorageError:
    """Return the error of a named place that refuses data: a wrong request, or a full disk."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return StorageError(f"{place}: disk full; free some space, or {remedy}")
    return FileUnusable(f"{place}: cannot be written: {error.strerror or error}; {remedy}")


def why_not_imported(error: BaseException) -> str:
    """Return "cannot be imported: ..." in one line; modules fail in any way when imported."""
    kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
    return " ".join(f"cannot be imported: {kind}{error}".split())


def one_line(error: BaseException) -> str:
    """Return what an error says, in one line; its class if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the known name closest to `name`, or an empty string."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
