"""Judging one recording against another: tolerances, metrics, bias, logits, verdicts."""
