"""Synthesizable hardware of the family, in Amaranth."""
