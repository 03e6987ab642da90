"""Floor 2: the run folder. Append, read, seal, verify."""
