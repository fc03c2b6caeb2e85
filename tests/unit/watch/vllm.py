"""What vLLM 0.32 writes at /metrics, shortened: its order and its forms."""

from typing import Any

_TEXT = """# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 12514.0
process_resident_memory_bytes 1.06e+09
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
@running
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
@waiting
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny",reason="capacity"} 99.0
# TYPE vllm:kv_cache_usage_perc gauge
@kv_cache
# TYPE vllm:prompt_tokens_total counter
@prompt
# TYPE vllm:prompt_tokens_created gauge
vllm:prompt_tokens_created{engine="0",model_name="tiny"} 1.769860800e+09
# TYPE vllm:prompt_tokens_by_source_total counter
vllm:prompt_tokens_by_source_total{engine="0",model_name="tiny",source="local_compute"} 99.0
# TYPE vllm:generation_tokens_total counter
@generation
# TYPE vllm:request_success_total counter
@ended
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="tiny"} 0.0
"""
_NAMES = {
    "running": "num_requests_running",
    "waiting": "num_requests_waiting",
    "kv_cache": "kv_cache_usage_perc",
    "prompt": "prompt_tokens_total",
    "generation": "generation_tokens_total",
    "ended": "request_success_total",
}


def metrics(**figures: Any) -> bytes:
    """The text. A figure may be a list: one for each engine of the process; None: the lines are not there."""
    text = _TEXT
    for figure, name in _NAMES.items():
        value = figures.pop(figure, 0)
        values = value if isinstance(value, list) else [] if value is None else [value]
        lines = []
        for engine, each in enumerate(values):
            labels = f'engine="{engine}",model_name="a}} b"'
            reasons = ("stop", "length") if figure == "ended" else ("",)
            for reason in reasons:
                more = f',finished_reason="{reason}"' if reason else ""
                lines.append(f"vllm:{name}{{{labels}{more}}} {each}")
        text = text.replace(f"@{figure}", "\n".join(lines))
    assert not figures
    return text.encode()
