"""Quadrat for loops that belong to a framework: one thin file each, and none is imported until it is asked for."""
