"""Floor 1: the nouns. Standard library and pydantic only."""
