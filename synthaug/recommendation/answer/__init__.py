"""From what was measured to words, figures and files."""
