"""`einops.layers`: patterns as layers."""
