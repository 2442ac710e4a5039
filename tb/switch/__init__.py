"""Testbenches of hdl.switch."""
