"""From one image to another, and how smooth the way is."""
