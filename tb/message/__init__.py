"""Testbenches of hdl.message."""
