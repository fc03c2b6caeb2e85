"""Fetching weights into a cache: whole, verified, once for all who share it. A program of its own, in the pods."""
