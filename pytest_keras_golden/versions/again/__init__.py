"""What is repeated before it is said: where nothing differs or fails no suite runs a third time."""
