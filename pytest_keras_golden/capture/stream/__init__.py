"""One stream of random numbers for all backends, from which both sides of a gate draw."""
