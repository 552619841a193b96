"""Which records a person is shown, and what was said of them."""
