"""Does a pretrained classifier learn better while its batch statistics stay as they are?"""
