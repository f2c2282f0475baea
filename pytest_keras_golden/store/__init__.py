"""Golden files: bytes, locked atomic files, and which golden is the baseline."""
