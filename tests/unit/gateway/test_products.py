"""I2, I3: products."""

import pytest
from pydantic import ValidationError

from maas_operator.gateway.products import find, parse

TEXT = "[{name: maas-model-qwen, id: 97a75a6d, model: Qwen/Qwen2.5, service: qwen}]"


def test_i3_all_three_must_name_one_product() -> None:
    products = parse(TEXT)
    assert find(products, "Qwen/Qwen2.5", "maas-model-qwen", "97a75a6d") == products[0]
    assert "not offered" in str(find(products, "nope", "maas-model-qwen", "97a75a6d"))
    both = str(find(products, "Qwen/Qwen2.5", "x", None))
    assert "productName is 'x'" in both
    assert "productId is None" in both


def test_i2_a_product_that_lacks_a_field_is_an_error() -> None:
    with pytest.raises(ValidationError, match="service"):
        parse("[{name: a, id: b, model: c}]")
    assert parse("") == ()
