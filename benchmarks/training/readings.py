"""What commits did that the training atlas found, read by eye in Keras' history."""

READINGS: dict[str, str] = {}
"""Short hash → what it did."""
