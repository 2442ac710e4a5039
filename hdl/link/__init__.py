"""Links between accelerators: frames, CRC, credits, replay, and the NIC that they make."""
