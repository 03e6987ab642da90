"""Floor 3: where jobs run, one file each. A launcher sees a Job, never the loop."""
