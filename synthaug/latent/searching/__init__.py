"""Codes whose images score higher."""
