"""Number formats as Amaranth shapes, and the decoding of their codes."""
