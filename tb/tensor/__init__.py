"""Testbenches and drivers of the tensor engine."""
