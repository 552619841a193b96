"""A student trained on a set and judged on held-out data, with the splits kept apart."""
