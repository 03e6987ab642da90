"""Floor 3: runs to tables and intervals. Reading wing."""
