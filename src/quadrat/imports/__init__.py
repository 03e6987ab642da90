"""Foreign results become runs: one format per file, found by entry point ``quadrat.imports``."""
