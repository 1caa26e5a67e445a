"""Customer analytics as reproducible notebooks."""
