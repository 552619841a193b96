"""How far annotators or a model's votes agree, how accuracy goes with it, and which task is the more objective."""
