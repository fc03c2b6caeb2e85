"""The ledger: who used which service how much, by minute, what happened, for a month, and how long instances ran, for
the bill. Each counts once, whatever crashes or comes twice."""
