"""Floor 2: the only room of the instrument that imports torch."""
