"""The ledger: who used which service how much, by minute; counted once, whatever crashes or comes twice."""
