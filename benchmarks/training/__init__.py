"""What training with one Keras release computes, scenario by scenario."""

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
"""In which `fit` is run; everything else in float32."""
