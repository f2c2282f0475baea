"""Suites run as processes of their own, several at once, and stopped."""
