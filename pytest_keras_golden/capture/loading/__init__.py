"""Models out of files, and what they hold when they have been loaded."""
