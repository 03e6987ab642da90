"""Floor 3: mirrors of events, one file each. Never the truth, never able to hurt a run."""
