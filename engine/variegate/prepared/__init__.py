"""Models that come as a GGUF file, in a package or as a user's own, made into a folder that every engine reads.

Converted once, into the user's cache. Reads files; knows nothing of prompts and engines.
"""
