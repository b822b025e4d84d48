"""A document as text: Markdown, HTML, CSV, JSON."""
