"""What the layers of one Keras release compute, and how that changed from release to release."""

POLICIES = ("float32", "bfloat16", "float16")
"""In which the layers are run."""
