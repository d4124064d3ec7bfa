"""Does augmentation of a generator's training images show in its samples?"""
