"""Searches that know nothing of Keras: by halves, through commits, and over sets of changes."""
