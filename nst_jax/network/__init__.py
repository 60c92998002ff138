"""VGG19: from a picture to its maps, and the files of its weights."""
