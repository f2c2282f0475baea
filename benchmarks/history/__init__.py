"""What one Keras release computes, and how that changed from release to release."""

POLICIES = ("float32", "bfloat16", "float16")
"""In which the layers are run."""

PRECISION = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
"""In which policies compute that keep their results in float32."""
