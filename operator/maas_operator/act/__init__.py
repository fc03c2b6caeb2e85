"""The only writes: objects, removals, status, events, the lease."""
