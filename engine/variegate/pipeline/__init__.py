"""The stages in order: rounds, resume and the files at the end."""
