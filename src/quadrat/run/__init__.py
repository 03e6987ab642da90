"""Floor 4: inside one job. Drive the science, obey stops."""
