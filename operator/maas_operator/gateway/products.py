"""Intel's API's products (I2, I3): which one a request names, and which service answers for it. Pure."""

from collections.abc import Sequence

from maas_operator.gateway.facts import Facts, Key, Product, Reach, Service


def listed(product: Product) -> dict[str, str]:
    """As /v1/maas/models shows it."""
    return {"model_name": product.model, "product_id": product.id, "product_name": product.name}


def find(products: Sequence[Product], model: object, name: object, id_: object) -> Product | str:
    """The product that all three name, or what does not match. Several products may be of one model."""
    of_model = [each for each in products if each.model == model]
    if not of_model:
        return f"model {model!r} is not offered: GET /v1/maas/models lists those that are"
    said = (name, id_)
    best = max(of_model, key=lambda each: (each.id == id_, each.name == name))
    if said == (best.name, best.id):
        return best
    right = {"productName": (name, best.name), "productId": (id_, best.id)}
    wrong = [
        f"{field} is {sent!r}, of that model it is {known!r}" for field, (sent, known) in right.items() if sent != known
    ]
    return f"model {model!r}: {'; '.join(wrong)}"


def may_call(service: Service, account: str, key: Key | None) -> bool:
    """Whether an account's key may call a service. key: None where nothing more is known of it."""
    if not service.callable_by(account):
        return False
    return key is None or not key.services or (service.namespace == account and service.name in key.services)


def service_for(product: Product, facts: Facts, account: str, key: Key | None) -> Service | None:
    """The service of the product's Model that answers for a key; None where it may call none. One that can answer now
    comes before one that will, and that before one that cannot; the account's own before those that others share with
    it, the older first."""
    candidates = [
        each for each in facts.services if each.model == product.catalogue_model and may_call(each, account, key)
    ]
    return min(candidates, key=lambda each: _rank(each, account), default=None)


def _rank(service: Service, account: str) -> tuple[bool, bool, bool, bool]:
    return service.reach != Reach.OPEN, not service.endpoints, not service.awaited, service.namespace != account
