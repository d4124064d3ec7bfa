"""What is done, what it cost, and how much time is left."""
