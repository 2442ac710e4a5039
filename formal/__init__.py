"""Proofs: properties of the link and of what it stands on, for all inputs, by SymbiYosys."""
