"""What every block stands on: streams and their helpers, checked wiring, modules emitted once, arithmetic."""
