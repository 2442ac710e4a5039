"""Measurements of the figures that the project promises, side by side with a peer where there is one."""
