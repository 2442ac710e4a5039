"""Waves of a simulation: read, decoded, grouped, drawn."""
