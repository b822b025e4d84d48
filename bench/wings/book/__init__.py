"""The book's own measurement: its loop, its loading, and its explanation."""
