"""Token-only against algebraic-embedding models on arithmetic."""
