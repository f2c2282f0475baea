"""What the layers of one Keras release compute, and how that changed from release to release."""
