"""The window's own processes: what must not hold up, or end, the window."""
