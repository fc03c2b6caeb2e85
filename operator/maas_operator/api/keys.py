"""What is said of ApiKeys that cannot be (M22): the same words from the CLI and in the condition Accepted."""

from maas_operator.api.apikey import MAX_KEYS_PER_ACCOUNT


def tag_taken(tag: str, name: str, account: str) -> str:
    """Another ApiKey, `name`, has this tag."""
    return f"tag {tag} belongs to ApiKey {name} of account {account}: make a key of another tag"


def too_many_keys(account: str) -> str:
    """The account has as many keys as it may."""
    return f"account {account} has {MAX_KEYS_PER_ACCOUNT} keys already, the limit: delete one that is not used"
