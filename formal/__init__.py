"""Proofs: properties of the link, of the switch and of what they stand on, for all inputs, by SymbiYosys."""
