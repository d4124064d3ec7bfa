"""What does not look like the images that a generator knows."""
