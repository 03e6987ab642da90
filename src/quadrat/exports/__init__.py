"""Floor 4: a study in the words of other programs, one format a file. Reads the journal, never writes to it."""
