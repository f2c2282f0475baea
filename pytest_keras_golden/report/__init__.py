"""Turning outcomes into text: terminal, Markdown, HTML, JUnit."""
