"""Floor 2: the experiment record. Parse, fill, check."""
