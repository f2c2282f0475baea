"""A side of a bump as the user writes it, and the packages and switches that it comes to."""
