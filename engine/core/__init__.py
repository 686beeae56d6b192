"""The pure room: rules that can be tested by calling them.

No loop, clock, disk, network, logger or global randomness enters here; `now` and `rng` are arguments.
"""
