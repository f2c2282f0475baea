"""Exported models: what `model.export` writes, run by its runtime, and the layers that differ."""
