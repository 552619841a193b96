"""A run from its first request to the verdict: generate, curate, measure, train, evaluate, report, each made once and found again."""
