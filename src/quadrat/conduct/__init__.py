"""Floor 5: stages, gates, what remains to do."""
