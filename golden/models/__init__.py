"""Trained networks in numpy: where the operands of the demonstrations come from."""
