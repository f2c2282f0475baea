"""What gates and matrices came to, in words: on a terminal, as Markdown, as HTML."""
