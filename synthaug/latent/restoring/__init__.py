"""Without noise, and larger."""
