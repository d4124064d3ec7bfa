"""Candidates against each other and against real images alone."""
