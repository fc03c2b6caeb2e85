"""Scripts alone, in Envoy itself. SHA-256 (M22) by the vectors of NIST (FIPS 180-4, CAVP) and at its blocks' edges."""

import hashlib

from maas_operator.gateway.envoy.lua import GUARD, script
from tests.gateway.lua import answers, asked

NIST = {
    "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    "abcdefghbcdefghicdefghijdefghijkefghijklfghijklm"
    "ghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu": (
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
}
EDGES = ["a" * length for length in (1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 511, 512)]
WORDS = [chr(33 + n % 90) * (n % 70) + str(n * 7919) for n in range(60)]

ANSWER = """
function envoy_on_request(handle)
  handle:respond({[":status"] = "200"}, sha256(handle:headers():get("text") or ""))
end
"""
FAILING = """
envoy_on_request = guarded(function(handle) error("as it happens") end)
"""


def test_m22_sha256_in_lua_is_sha256() -> None:
    texts = [*NIST, *EDGES, *WORDS]
    made = answers(script("sha256.lua") + ANSWER, texts)
    assert made == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    assert made[: len(NIST)] == list(NIST.values())


def test_a_script_that_fails_refuses_its_request() -> None:
    assert asked(script(GUARD) + FAILING, ["any"]) == [(500, "")]
