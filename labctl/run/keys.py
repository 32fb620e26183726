"""Secret keys that a run has made: into the key store, with a citation in the run's journal."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from labctl.errors import RequestError
from labctl.jsonline import to_json
from labctl.keys.ledger import nodes_of
from labctl.keys.store import KeyStore, default_store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labctl.run.folder import RunFolder

_NAMESPACE = uuid.UUID("2f6b0d0e-8f5d-4c6e-9a51-3f0f5f6a9b77")


class KeySink:
    """Delivers what a procedure distilled.

    Args:
        run: whose journal cites the blocks.
        deliver: False for a replay and for an analysis of old data, which repeat what a run did:
            the same bits must not go out twice.
    """

    def __init__(self, run: RunFolder, *, deliver: bool) -> None:
        self._run = run
        self._deliver = deliver
        # Two runs never have the same start entry: it holds the time.
        self._identity = hashlib.sha256(to_json(run.start)).hexdigest()

    def __call__(self, link: str, bits: NDArray[Any], label: str = "") -> str:
        """Store secret bits as a block of this run; returns the number of the block.

        The same link and label name the same block, which is stored once, even if the point or the
        analysis that made it is repeated after a crash.

        Raises:
            RequestError: `link` or `bits` is not as it must be.
            StorageError: the store or the run cannot be written.
        """
        nodes_of(link)
        if "/" in link:
            raise RequestError(f"link {link!r}: must not contain a slash")
        block = str(uuid.uuid5(_NAMESPACE, f"{self._identity}/{link}/{label}"))
        cited = {"link": link, "label": label, "block": block}
        if not self._deliver:
            self._run.record("key", {**cited, "bits": len(bits) // 8 * 8, "store": None})
            return block
        store = KeyStore(default_store(self._run.path.parent))
        about = {"run": self._run.path.name, "label": label}
        simulated = self._run.start.get("mode") == "sim"
        new = store.deliver(block, link, bits, simulated=simulated, about=about)
        known = {e["block"] for e in self._run.events if e["entry"] == "key"}
        if new or block not in known:
            # What is there may be of a first attempt, which did not live to see it cited.
            held = next(8 * b.size for b in store.blocks() if b.id == block)
            where = str(store.folder.resolve())
            self._run.record("key", {**cited, "bits": held, "store": where})
        return block
