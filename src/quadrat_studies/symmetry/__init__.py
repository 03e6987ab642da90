"""Composite against symmetric solutions in Mamba."""
