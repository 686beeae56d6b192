"""A stranger: a server that plays paid providers, with quotas, prices and bad weather, to prove the engine by.

Nothing of ours may be imported here, and only tests and doors may import it: its arithmetic is its own, so that a mistake of the
client cannot hide in a function that both share. Only `server` and `__main__` know sockets and clocks.
"""
