"""Running an HBM controller against the device model."""
