"""Floor 6: one file a verb, a thin skin over the Python API."""
