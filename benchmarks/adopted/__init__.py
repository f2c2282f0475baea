"""Suites that nobody here wrote, run without and with the plugin, and what came of them."""
