"""Pure physics functions. Shares no formula with labctl.analysis."""
