"""M3: whether a version fits a flavor: what is certain, what is not known, and what always holds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maas_operator.decide.accelerators import accelerator_of
from maas_operator.decide.fit import Fit, planned_cache
from tests.unit.decide.fit.models import SHAPES, answer, flavor, version

CONTEXTS = st.integers(1, 1024).map(lambda blocks: 128 * blocks)
PLACES = st.tuples(
    st.sampled_from(["cpu", "nvidia", "ascend-910b", "ascend-310p"]),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 200),
    st.sampled_from([1, 2]),
)
ORDER: dict[bool | None, int] = {False: 0, None: 1, True: 2}


def placed(place: tuple[str, int, int, int], more: int = 0) -> Any:
    kind, count, memory, hosts = place
    return flavor(kind, count, f"{memory + more}Gi", hosts)


@given(st.sampled_from(sorted(SHAPES)), CONTEXTS, PLACES, st.integers(0, 100))
def test_m3_more_memory_is_never_fewer_tokens(model: str, context: int, place: Any, more: int) -> None:
    less, greater = answer(version(model, context), placed(place)), answer(version(model, context), placed(place, more))
    assert ORDER[less.fits] <= ORDER[greater.fits]
    assert (less.tokens or 0) <= (greater.tokens or 0)


@given(st.sampled_from(sorted(SHAPES)), CONTEXTS, CONTEXTS, PLACES)
def test_m3_a_longer_context_never_fits_where_a_shorter_did_not(model: str, one: int, other: int, place: Any) -> None:
    shorter, longer = (answer(version(model, context), placed(place)) for context in sorted([one, other]))
    assert ORDER[longer.fits] <= ORDER[shorter.fits]


@given(st.sampled_from(sorted(SHAPES)), CONTEXTS, PLACES)
def test_m3_what_fits_is_never_more_than_there_is(model: str, context: int, place: Any) -> None:
    on = placed(place)
    found = answer(version(model, context), on)
    assert found.has is None or 0 < found.has <= place[2] * 2**30, "as a reader knows it"
    if not found.fits:
        assert found.tokens is None
        return
    assert found.tokens and found.weights and found.overhead and found.token and found.has and found.sequences
    devices = place[1] * place[3] if place[0] != "cpu" else place[3]
    assert found.tokens >= context * found.sequences >= context
    assert found.weights + found.overhead + found.tokens * found.token <= found.has <= place[2] * 2**30
    assert found.weights * devices >= 0.99 * float(SHAPES[model][0].removesuffix("Gi")) or model in {"tiny", "smollm2"}


def test_kv_heads_are_repeated_where_there_are_more_devices_than_heads() -> None:
    a_token = {count: answer(version("qwen-32b", 8192), flavor("nvidia", count, "80Gi")).token for count in (2, 4, 8)}
    assert a_token == {2: 64 * 4 * 128 * 2 * 2, 4: 64 * 2 * 128 * 2 * 2, 8: 64 * 1 * 128 * 2 * 2}
    heads_of_4 = answer(version("qwen3-235b-fp8", 8192), flavor("nvidia", 8, "80Gi"))
    assert heads_of_4.token == 94 * 1 * 128 * 2 * 2, "eight devices share four heads"


def test_the_latent_of_mla_is_kept_whole_by_each_device() -> None:
    for hosts, layers in ((1, 61), (2, 31)):
        found = answer(version("deepseek-r1", 8192), flavor("nvidia", 8, "141Gi", hosts))
        assert found.token == layers * 576 * 2


def test_the_kv_cache_has_its_own_dtype() -> None:
    whole = answer(version("llama-8b", 8192), flavor("nvidia", 1, "80Gi"))
    halved = answer(version("llama-8b", 8192), flavor("nvidia", 1, "80Gi"), "--kv-cache-dtype=fp8")
    assert whole.token == 2 * (halved.token or 0)


def test_stages_on_several_hosts_share_the_layers() -> None:
    one, two = (answer(version("llama-8b", 8192), flavor("nvidia", 1, "80Gi", hosts)) for hosts in (1, 2))
    assert one.token == 2 * (two.token or 0)
    assert one.weights and two.weights and one.weights / 2 < two.weights < one.weights * 0.6


def test_copies_that_share_the_requests_have_their_own_cache_and_share_the_experts() -> None:
    """As vllm-ascend's guide runs DeepSeek-R1 (W8A8) on two hosts of eight 910B."""
    w8a8 = version("deepseek-r1", 8192, weights={"size": "640Gi", "precision": "int8"})
    on = flavor("ascend-910b", 8, "64Gi", 2)
    batch = ["--max-num-seqs=16", "--max-num-batched-tokens=4096", "--quantization=ascend"]
    copies = answer(w8a8, on, "-tp", "4", "-dp", "4", "--enable-expert-parallel", *batch)
    one = answer(w8a8, on, *batch)
    assert copies.fits and one.fits
    assert copies.token == 61 * 576 * 2
    assert 40 * 2**30 < (one.weights or 0) < (copies.weights or 0) < 52 * 2**30
    without = answer(w8a8, on, "-tp", "4", "-dp", "4", *batch)
    assert without.fits is None, "whether the copies share weights cannot be told"


def test_m3_a_refusal_is_certain_and_says_what_lacks() -> None:
    found = answer(version("qwen-32b", 8192), flavor("ascend-910b", 1, "64Gi"))
    assert (found.fits, found.why) == (False, "it needs 64 GiB and has 58")


def test_m3_what_is_too_close_to_tell_is_not_refused() -> None:
    found = answer(version("qwen-14b", 32768), flavor("nvidia", 1, "40Gi"))
    assert found.fits is None
    assert found.why == "too close to tell: it may need up to 37 GiB and has 34"
    assert found.tokens is None


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["-tp", "3"], "its 32 attention heads cannot be shared out over 3 devices"),
        (["--tensor-parallel-size=16"], "its arguments share it out over 16 devices, and the flavor has 8"),
        (["--kv-cache-memory-bytes=128M"], "its arguments give its KV cache 8064 tokens, and its context is 8192"),
    ],
)
def test_what_the_arguments_rule_out(args: list[str], why: str) -> None:
    found = answer(version("llama-8b", 8192), flavor("nvidia", 8, "80Gi"), *args)
    assert (found.fits, found.why) == (False, why)


def test_m3_a_version_names_the_accelerators_on_which_it_runs() -> None:
    needs = [{"type": "ascend-910b", "count": 8, "hosts": 2}, {"type": "nvidia"}]
    some = version("llama-8b", 8192, accelerators=needs)

    def why(on: Any) -> str | None:
        return answer(some, on).why

    assert why(flavor("ascend-a3", 8, "64Gi")) == "it does not run on ascend-a3: it runs on ascend-910b, nvidia"
    assert why(flavor("cpu", memory="64Gi")) == "it does not run on cpu: it runs on ascend-910b, nvidia"
    assert why(flavor("ascend-910b", 4, "64Gi", 2)) == (
        "it needs at least 8 devices of ascend-910b on each host, and the flavor has 4"
    )
    assert why(flavor("ascend-910b", 8, "64Gi")) == "it needs at least 2 hosts of ascend-910b, and the flavor has 1"
    assert answer(some, flavor("ascend-910b", 8, "64Gi", 2)).fits
    assert answer(some, flavor("nvidia", 1, "80Gi")).fits


def test_m3_the_attention_mask_of_a_310p_grows_with_the_square_of_the_context() -> None:
    on = flavor("ascend-310p", 2)
    overhead = {
        context: answer(version("llama-8b", 4096), on, context=context).overhead or 0 for context in (128, 32768)
    }
    assert overhead[32768] - overhead[128] == 4 * (32768**2 - 128**2)
    small = {context: answer(version("llama-8b", context), flavor("ascend-310p")).fits for context in (4096, 32768)}
    assert small == {4096: True, 32768: None}, "without the mask, 32,768 tokens would seem to fit"


def test_weights_and_arguments_of_an_accelerator_count_there_alone() -> None:
    quantized = {"weights": {"size": "7Gi", "precision": "int8"}, "args": ["--quantization=ascend", "--block-size=64"]}
    some = version("llama-8b", 8192, accelerators=[{"type": "ascend-910b", **quantized}, {"type": "nvidia"}])
    assert (answer(some, flavor("ascend-910b", 1, "64Gi")).weights or 0) == 7 * 2**30
    assert (answer(some, flavor("nvidia", 1, "64Gi")).weights or 0) > 14 * 2**30


@pytest.mark.parametrize(
    ("changed", "on", "why"),
    [
        ({"weights": None}, "80Gi", "not checked: nobody has said the size of its weights"),
        ({"weights": None, "architecture": None}, "80Gi",
         "not checked: nobody has said the size of its weights and its architecture"),
        ({}, None, "not checked: nobody has said the memory of its devices"),
        ({"args": ["--speculative-config={}"]}, "80Gi",
         "not checked: --speculative-config shares out the memory in a way that is not computed"),
        ({"args": ["--quantization=fp8"]}, "80Gi",
         "not checked: --quantization=fp8 makes the weights smaller by an unknown share"),
        ({"args": ["--kv-cache-dtype=nvfp4"]}, "80Gi", "not checked: the size of nvfp4 values is not known"),
    ],
)  # fmt: skip
def test_m3_what_is_not_known_is_not_checked(changed: dict[str, Any], on: str | None, why: str) -> None:
    found = answer(version("llama-8b", 8192, **changed), flavor("nvidia", 1, on))
    assert found == Fit(None, why, context=8192)


def test_weights_are_cast_unless_they_are_quantized() -> None:
    as_float32 = answer(version("smollm2", 2048), flavor("cpu", memory="8Gi"))
    assert as_float32.weights == 2 * 269060552
    kept = answer(version("qwen3-235b-fp8", 2048), flavor("cpu", memory="400Gi"))
    assert 220 * 2**30 <= (kept.weights or 0) <= 221 * 2**30


def test_a_sliding_window_takes_a_block_more() -> None:
    plain, sliding = version("llama-8b", 4096), version("llama-8b", 4096)
    assert sliding.architecture
    shape = sliding.architecture.model_copy(update={"sliding_window": 4096})
    sliding = sliding.model_copy(update={"architecture": shape})
    on = flavor("nvidia", 1, "80Gi")
    assert (answer(sliding, on).tokens or 0) < (answer(plain, on).tokens or 0)


def test_a_cpu_engine_is_given_what_its_pod_leaves_and_that_is_foretold() -> None:
    on, of = flavor("cpu", memory="4Gi"), version("smollm2", 2048)
    known = accelerator_of(on)
    assert known
    given_bytes = planned_cache(of, on, known)
    assert given_bytes
    found, told = answer(of, on), answer(of, on, f"--kv-cache-memory-bytes={given_bytes}")
    assert found.fits and told.fits
    assert found.tokens == told.tokens
    assert planned_cache(version("smollm2", 2048, "--kv-cache-memory-bytes=1G"), on, known) is None
    assert planned_cache(version("smollm2", 2048, "--gpu-memory-utilization=0.5"), on, known) is None
    assert planned_cache(version("smollm2", 2048, weights=None), on, known) is None
    assert planned_cache(of, flavor("cpu", memory="1Gi"), known) is None
