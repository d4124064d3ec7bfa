"""The same thing, a little different: on demand, as a bank, or while a classifier trains."""
