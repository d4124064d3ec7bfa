"""Should you use samples at all, which, and how? Measured inside the training split."""
