"""The command line: one file per command; each parses its arguments, calls one function and prints the result."""
