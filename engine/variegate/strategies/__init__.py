"""Strategies: pure functions from a task, a pool of texts and a random generator to requests."""
