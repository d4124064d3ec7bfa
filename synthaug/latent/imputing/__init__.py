"""What may have been in missing pixels."""
