"""Placeholder, replaced with the room's public names."""
