"""Between drivers and the wire: `ByteAdapter`, and the `Framing` that tells it how to speak."""

from labctl.adapter.byteadapter import ByteAdapter
from labctl.transport.framing import Framing

__all__ = ["ByteAdapter", "Framing"]
