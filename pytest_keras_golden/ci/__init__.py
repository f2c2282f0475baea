"""What a CI service knows of a change, which lock file it moves, and the comment that tells."""
