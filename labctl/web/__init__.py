"""A small read-only page on loopback: what runs, how far it is, and its latest figures."""
