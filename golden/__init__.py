"""Golden models: what every bit of the family's arithmetic must be, in numpy.

The models implement docs/numerics.md, share only the tables of `mtia.formats` with the RTL, and
are checked against ml_dtypes, torchao and exact rationals in tests/golden.
"""
