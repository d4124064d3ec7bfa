"""How many planted copies of training images the copy detector finds, and how many new images it takes for copies."""
