"""The products of Intel's API (I2): a catalogue file, in the words in which clients name them."""

from typing import Annotated

import yaml
from pydantic import ConfigDict, Field

from maas_operator.api.fields import Part

Word = Annotated[str, Field(min_length=1, max_length=253)]


class Product(Part):
    """A model as clients of that API know it."""

    model_config = ConfigDict(extra="forbid")

    name: Word = Field(description="The product's name, for example maas-model-qwen-2.5-32b.")
    id: Word = Field(description="The product's id.")
    model: Word = Field(description="The model's name in that API, for example Qwen/Qwen2.5-32B-Instruct.")
    service: Word = Field(description="What the gateway knows it by: name of a ModelService or of a catalogue's Model.")

    def listed(self) -> dict[str, str]:
        """As /v1/maas/models shows it."""
        return {"model_name": self.model, "product_id": self.id, "product_name": self.name}


def parse(text: str) -> tuple[Product, ...]:
    """Products from YAML, a list. Raises pydantic.ValidationError, which names the field."""
    return tuple(Product.model_validate(each) for each in yaml.safe_load(text) or ())


def find(products: tuple[Product, ...], model: object, name: object, id_: object) -> Product | str:
    """The product that all three name, or what does not match."""
    known = next((each for each in products if each.model == model), None)
    if known is None:
        return f"model {model!r} is not offered: GET /v1/maas/models lists those that are"
    said = {"productName": (name, known.name), "productId": (id_, known.id)}
    wrong = [
        f"{field} is {sent!r}, of that model it is {right!r}" for field, (sent, right) in said.items() if sent != right
    ]
    return f"model {model!r}: {'; '.join(wrong)}" if wrong else known
