"""Ways to make and use samples, and what makes them."""
