"""The ledger alone: python -m maas_operator.ledger."""

from maas_operator.ledger.command import ledger

ledger()
