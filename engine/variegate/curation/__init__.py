"""Curation: what is said of a text after it was generated. It never edits or deletes a record."""
