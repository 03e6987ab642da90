"""Floor 2: pure checks over a window of metrics."""
