"""Floor 4: figures and static pages from tables. Reading wing."""
