"""What goes wrong while fetching. The messages are for people, and hold no address that a hub signed, and no token."""


class FetchError(Exception):
    """What was asked for cannot be fetched: what, why, and what to do."""


class PassingError(FetchError):
    """It may work in a while: the network, or a server that is busy."""


class UntrustedError(FetchError):
    """The other side shows a certificate of an authority that is not trusted here."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} shows a certificate that is not trusted: put the authority that signed it into a ConfigMap, and "
            "name that in settings.sources.caBundle"
        )


def is_untrusted(error: Exception) -> bool:
    """Whether a library says so: OpenSSL's word, and rustls's."""
    text = str(error)
    return "CERTIFICATE_VERIFY_FAILED" in text or "InvalidCertificate" in text
