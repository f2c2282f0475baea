"""Judging one recording against another: metrics, bias, logits, verdicts."""
