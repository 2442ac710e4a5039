"""Testbenches: builds and drives the RTL under Verilator, from bulk runs at C++ speed to cocotb protocols."""
