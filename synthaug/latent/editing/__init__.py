"""Images along a direction, of another class, or in another style."""
