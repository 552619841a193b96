"""A package that adds a task kind and a strategy from outside: see docs/kinds.md. Installed here by lying on sys.path."""
