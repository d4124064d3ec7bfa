"""Which samples to keep, and why the others were rejected."""
