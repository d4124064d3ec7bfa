"""One classifier with or without samples; the gain over many, and how sure it is."""
