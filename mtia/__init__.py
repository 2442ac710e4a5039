"""What the chips are: number formats and generations as data, and the command line."""
