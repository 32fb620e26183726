"""Secret keys: a store that gives each bit once, and the key manager that applications ask."""
