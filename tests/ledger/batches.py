"""Batches as the gateway sends them."""

from maas_operator.api.usage import Batch, UsageRow

MINUTE = 1_769_860_800
"""2026-01-31T12:00:00Z."""


def row(
    tokens: int = 10, account: str = "team-a", key: str = "ci", service: str = "team-a/assistant", minute: int = 0
) -> UsageRow:
    return UsageRow(
        account=account,
        key=key,
        service=service,
        model="qwen3",
        version="8k",
        minute=MINUTE + 60 * minute,
        requests=1,
        answered=1,
        prompt_tokens=tokens,
        completion_tokens=tokens // 2,
        first_tokens=1,
        first_token_ms=300,
        duration_ms=1500,
    )


def batch(start: int, end: int, *rows: UsageRow, log: str = "log", origin: str = "pod") -> Batch:
    return Batch(origin=origin, log=log, start=start, end=end, rows=list(rows or (row(),)))
