"""Beside the floors: contract cases and fakes for people who write plug-ins."""
