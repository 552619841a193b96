"""The loop that drives a conversation, the same for every strategy: ask a block, generate it shard by shard, judge, commit.

A *block* is what is asked under one state (`strategies/blocks`), a *round* what is committed and resumed, a *shard* what an engine
is given at once. An answer is found by its key: resuming, reusing after a change and a damaged round are one mechanism.
"""
