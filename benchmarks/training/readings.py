"""What commits did that the training atlas found, read by hand in Keras' history."""

READINGS: dict[str, tuple[str, str]] = {}
"""Short hash → (releases, what it did)."""
