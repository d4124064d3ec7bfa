"""What `recommend` makes of images without labels."""
