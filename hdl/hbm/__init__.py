"""HBM channel: address map, scheduler, refresh, ECC, near-memory reduction."""
