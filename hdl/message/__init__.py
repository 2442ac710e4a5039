"""The message engine: descriptors in, completions out; a memory port and a network port."""
