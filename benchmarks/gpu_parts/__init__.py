"""The parts of gpu_first_hour.py: each a module that is run by itself, with a small twin for a machine without a GPU."""
