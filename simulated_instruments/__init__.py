"""Physics at the far end of the wire: simulated instruments that share one world."""
