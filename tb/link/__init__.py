"""Testbenches of hdl.link."""
