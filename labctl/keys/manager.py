"""What a key manager answers applications, after ETSI GS QKD 014 V1.1.1; without a wire.

A master application asks for keys to share with a slave application, whose own request then gets
the same keys by their numbers, once. Each application is attached to a node, and keys are those of
the link between two nodes.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from labctl.errors import LabError, RequestError
from labctl.keys.store import Key, KeyStore, NotEnoughKeys, UnknownKey

log = logging.getLogger(__name__)

_PATH = re.compile(r"/api/v1/keys/([^/]+)/(status|enc_keys|dec_keys)")
_METHODS = {"status": ("GET",), "enc_keys": ("GET", "POST"), "dec_keys": ("GET", "POST")}
_MOST_KEYS_STORED = 1_000_000  # what a status has to name; there is no limit


@dataclass(frozen=True)
class Limits:
    """Sizes in bits, as the standard counts them."""

    key_size: int = 256
    min_key_size: int = 64
    max_key_size: int = 8192
    max_key_per_request: int = 128

    def __post_init__(self) -> None:
        sizes = (self.min_key_size, self.key_size, self.max_key_size)
        if any(size % 8 or size <= 0 for size in sizes) or list(sizes) != sorted(sizes):
            raise RequestError(
                f"key size {self.key_size}: must be a multiple of 8 from {self.min_key_size} to "
                f"{self.max_key_size} bits"
            )


class Refused(Exception):
    """A request that gets an error: its HTTP status, the message, and details."""

    def __init__(self, status: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.document: dict[str, Any] = {"message": message}
        if details:
            self.document["details"] = [{name: value} for name, value in details.items()]


@dataclass
class KeyManager:
    """The KME: answers requests of authenticated applications; knows nothing of sockets.

    Args:
        store: the keys.
        applications: node of each application (SAE); one that is not named is at the node that has
            its name.
        node: answer only applications at this node; "" answers those at all nodes.
        limits: sizes.
        simulated: whether keys of simulated benches may be handed out.
    """

    store: KeyStore
    applications: Mapping[str, str] = field(default_factory=dict)
    node: str = ""
    limits: Limits = Limits()
    simulated: bool = False

    def answer(
        self, caller: str, method: str, target: str, body: bytes
    ) -> tuple[int, dict[str, Any]]:
        """Return HTTP status and document for a request of the application `caller`."""
        try:
            return 200, self._answer(caller, method, target, body)
        except Refused as refusal:
            return refusal.status, refusal.document
        except NotEnoughKeys as error:
            return 503, {"message": str(error)}
        except UnknownKey as error:
            return 400, {"message": str(error), "details": [{"key_ID": i} for i in error.ids]}
        except LabError as error:
            log.error("%s", error)
            return 503, {"message": "the key store does not work; its operator has been told why"}

    def _answer(self, caller: str, method: str, target: str, body: bytes) -> dict[str, Any]:
        path, _, asked = target.partition("?")
        found = _PATH.fullmatch(path)
        if not found:
            raise Refused(404, "there is nothing here; paths are /api/v1/keys/SAE_ID/METHOD")
        other, what = unquote(found[1]), found[2]
        if method not in _METHODS[what]:
            raise Refused(405, f"{what} takes {' or '.join(_METHODS[what])}, not {method}")
        here = self.applications.get(caller, caller)
        if self.node and here != self.node:
            raise Refused(401, f"SAE {caller!r} is not attached to this KME")
        there = self.applications.get(other, other)
        if here == there or not self.store.linked((here, there)):
            raise Refused(400, f"no key is shared between SAE {caller!r} and SAE {other!r}")
        query = _query(asked)
        if what == "status":
            return self._status(caller, other, here, there)
        if what == "enc_keys":
            request = query if method == "GET" else _json(body)
            return _container(self._enc_keys(caller, other, (here, there), request))
        ids = _key_ids({"key_IDs": [{"key_ID": i} for i in query.get("key_ID", "").split(",")]}
                       if method == "GET" else _json(body))  # fmt: skip
        return _container(self.store.fetch(ids, master=other, slave=caller))

    def _status(self, master: str, slave: str, here: str, there: str) -> dict[str, Any]:
        limits = self.limits
        left = self.store.available((here, there), simulated=self.simulated)
        return {
            "source_KME_ID": here,
            "target_KME_ID": there,
            "master_SAE_ID": master,
            "slave_SAE_ID": slave,
            "key_size": limits.key_size,
            "stored_key_count": 8 * left // limits.key_size,
            "max_key_count": _MOST_KEYS_STORED,
            "max_key_per_request": limits.max_key_per_request,
            "max_key_size": limits.max_key_size,
            "min_key_size": limits.min_key_size,
            "max_SAE_ID_count": 0,
        }

    def _enc_keys(
        self, master: str, slave: str, nodes: tuple[str, str], request: Mapping[str, Any]
    ) -> list[Key]:
        limits = self.limits
        number = _whole(request, "number", 1)
        size = _whole(request, "size", limits.key_size)
        if not 1 <= number <= limits.max_key_per_request:
            raise Refused(400, f"number must be from 1 to {limits.max_key_per_request}",
                          number=number)  # fmt: skip
        if not limits.min_key_size <= size <= limits.max_key_size:
            raise Refused(
                400, f"size must be from {limits.min_key_size} to {limits.max_key_size} bits",
                size=size,
            )  # fmt: skip
        if size % 8:
            raise Refused(400, "size shall be a multiple of 8", size=size)
        if request.get("additional_slave_SAE_IDs"):
            raise Refused(400, "additional_slave_SAE_IDs are not supported (max_SAE_ID_count is 0)")
        if request.get("extension_mandatory"):
            raise Refused(400, "not all extension_mandatory parameters are supported")
        return self.store.give(
            nodes, number, size // 8, master=master, slave=slave, simulated=self.simulated
        )


def _container(keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "keys": [{"key_ID": k.id, "key": base64.b64encode(k.bits).decode("ascii")} for k in keys]
    }


def _query(text: str) -> dict[str, str]:
    try:
        values = parse_qs(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=9)
    except ValueError:
        raise Refused(400, "the query cannot be read") from None
    return {name: value[-1] for name, value in values.items()}


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(document, dict):
        raise Refused(400, "the body must be a JSON object")
    return document


def _whole(request: Mapping[str, Any], name: str, default: int) -> int:
    value = request.get(name, default)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):  # in a query
        value = int(value)
    if type(value) is not int:
        raise Refused(400, f"{name} must be a whole number")
    return value


def _key_ids(request: Mapping[str, Any]) -> list[str]:
    listed = request.get("key_IDs")
    if not isinstance(listed, list) or not listed:
        raise Refused(400, "key_IDs must be a list of objects with a key_ID")
    ids = [item.get("key_ID") if isinstance(item, dict) else None for item in listed]
    if not all(isinstance(name, str) and 0 < len(name) <= 64 for name in ids):
        raise Refused(400, "each of key_IDs must be an object with a key_ID")
    return [str(name) for name in ids]
