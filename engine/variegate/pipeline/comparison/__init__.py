"""A study: its cells generated, curated, measured and trained on, and what their options changed."""
