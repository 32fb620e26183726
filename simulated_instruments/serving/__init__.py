"""Parts of the server: byte streams in one event loop, connections, and the time port."""
