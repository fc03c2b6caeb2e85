"""Which origin a source is asked of. Its libraries are loaded only where it is: the others need not be in memory."""

from maas_operator.api.sources import Scheme, Source
from maas_operator.fetch.files import Origin


def origin_of(source: Source) -> Origin:
    """What can be asked for a source, by the variables of this process."""
    if source.scheme == Scheme.S3:
        from maas_operator.fetch.bucket import Bucket  # noqa: PLC0415

        return Bucket(source)
    from maas_operator.fetch.hub import HuggingFace, ModelScope  # noqa: PLC0415

    return HuggingFace(source) if source.scheme == Scheme.HUGGING_FACE else ModelScope(source)
