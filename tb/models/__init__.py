"""Models that stand beside a design in simulation: what the chip is connected to."""
