"""The room of effects: sockets, clock, disk, tasks and signals. Whoever waits, writes or dies does it here."""
