"""Floor 2: from a YAML file to a plan of runs."""
