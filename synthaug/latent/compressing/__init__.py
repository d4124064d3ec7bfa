"""Images as short codes, and back."""
