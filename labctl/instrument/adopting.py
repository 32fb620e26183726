"""Drivers that know nothing of benches, pymeasure's own above all, made fit for one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pymeasure.instruments import Instrument

from labctl.adapter import ByteAdapter
from labctl.errors import InstrumentError, RequestError, nearest
from labctl.instrument.base import BenchInstrument


class _Adopted(BenchInstrument):
    """What a bench expects of an instrument, underneath a driver that does not know of benches."""

    def __init__(
        self, adapter: ByteAdapter, name: str, includeSCPI: bool | None = None, **visa: Any
    ) -> None:
        self.clock = adapter.clock
        _reframe(adapter, visa)
        scpi = {} if includeSCPI is None else {"includeSCPI": includeSCPI}
        super().__init__(adapter, name, **scpi)

    def ask(self, command: str, query_delay: float | None = None) -> str:
        with self.transaction():
            return str(super().ask(command, query_delay))

    def identify(self) -> str:
        """The reply to `*IDN?` where the driver knows it, else the driver's name."""
        try:
            return str(self.id).strip()
        except NotImplementedError:
            return type(self).__name__

    def make_safe(self) -> None:
        """What the driver itself calls shutting down."""
        self.shutdown()


def adopt(driver: type) -> type:
    """Make a driver class of pymeasure, or of a user, fit for a bench.

    The sub-class that is returned takes the bench's settings: arguments of the driver's
    constructor, and `snapshot`, a list of properties to record with each run.
    """
    if not (isinstance(driver, type) and issubclass(driver, Instrument)):
        raise RequestError(f"{driver!r} is no driver: it does not derive from pymeasure Instrument")
    base: Any = driver
    accepted = inspect.signature(base.__init__).parameters

    def __init__(
        self: Any, adapter: ByteAdapter, name: str, snapshot: Any = (), **settings: Any
    ) -> None:
        for setting in settings:
            if setting not in accepted:
                raise RequestError(
                    f"{name}: {driver.__name__} has no setting {setting!r}"
                    f"{nearest(setting, accepted)}"
                )
        if "name" in accepted:
            settings["name"] = name
        base.__init__(self, adapter, **settings)
        self.name = name
        for wanted in snapshot:
            if not hasattr(driver, wanted):
                hint = nearest(wanted, dir(driver))
                raise RequestError(f"{name}: {driver.__name__} has no property {wanted!r}{hint}")
        self.SETTINGS = tuple(snapshot)

    def check_set_errors(self: Any) -> list[Any]:
        """Raise what pymeasure would only log."""
        if errors := base.check_set_errors(self):
            report = "; ".join(map(str, errors))
            raise InstrumentError(f"{self.name}: the instrument reports {report}")
        return []

    members = {"__init__": __init__, "check_set_errors": check_set_errors, "__doc__": base.__doc__}
    return type(driver.__name__, (driver, _Adopted), {**members, "__module__": driver.__module__})


def _reframe(adapter: ByteAdapter, visa: Mapping[str, Any]) -> None:
    """Take over the line ends that a driver states for VISA, for its kind of connection."""
    scheme = adapter.address.partition("://")[0]
    kind = {"serial": "asrl", "tcp": "tcpip"}.get(scheme, "")
    stated = {**visa, **(visa.get(kind) or {})}
    changes = {
        end: stated[f"{end}_termination"].encode()
        for end in ("read", "write")
        if isinstance(stated.get(f"{end}_termination"), str)
    }
    if changes:
        adapter.framing = replace(adapter.framing, **changes)
