"""Seeing: informers, a store of what was seen, a queue of what that may alter."""
