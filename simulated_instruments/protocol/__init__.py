"""Sans-IO codecs and command tables: bytes in, bytes out."""
