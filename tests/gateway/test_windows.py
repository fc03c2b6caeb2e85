"""The windows of shared.lua: what any 60 s may hold, for limits of every size, in Envoy's own Lua."""

import json
from bisect import bisect_right

from maas_operator.gateway.envoy.lua import GUARD, script
from maas_operator.gateway.envoy.shared import WHOLE
from tests.gateway.lua import answers

HOUR = 3600_000
MINUTE = 60_000
BEGUN = 1_795_330_800_000 - 5 * MINUTE
"""Five minutes before an hour of the clock, milliseconds since 1970."""
SPAN = 7 * MINUTE
STEP = 20
LIMITS = [1, 2, 3, 10, 49, 50, 59, 60, 61, 97, 119, 120, 131, 179, 239, 240, 600, 3599, 3600, 60_000, 10**9]
ALL_WINDOWS = """
function envoy_on_request(handle)
  local limit, made, before = tonumber(handle:headers():get("text") or 1), {}, nil
  for now = %d, %d, %d do
    local found = window(limit, now)
    if found.number ~= before then
      made[#made + 1] = string.format('{"now":%%d,"number":%%s,"per":"%%s","hits":%%d,"wait":%%d}',
        now, found.number, found.per, found.hits, found.wait)
      before = found.number
    end
  end
  handle:respond({[":status"] = "200"}, "[" .. table.concat(made, ",") .. "]")
end
"""


def test_81101_no_60_s_hold_more_than_2_percent_over_a_limit_nor_a_minute_much_less() -> None:
    code = script(GUARD) + script("shared.lua") + ALL_WINDOWS % (BEGUN, BEGUN + SPAN, STEP)
    for limit, text in zip(LIMITS, answers(code, [str(limit) for limit in LIMITS]), strict=True):
        windows = json.loads(text)
        begins = [each["now"] for each in windows]
        each_holds = WHOLE // windows[0]["hits"]
        assert [each["number"] for each in windows] == list(range(windows[0]["number"], windows[-1]["number"] + 1))

        # 60 s touch the window that they begin in, and all that begin in them
        befores = [at - 1 for at in begins[1:]]
        touched = max(bisect_right(begins, at + MINUTE - 1) - bisect_right(begins, at) + 1 for at in befores)
        a_minute = sum(BEGUN <= at < BEGUN + MINUTE for at in begins)
        print(f"{limit} a minute: {a_minute} windows of {each_holds}, at most {touched * each_holds} in 60 s")
        assert touched * each_holds <= (limit * 1.02 if limit > 1 else 2)
        assert a_minute * each_holds >= (limit * 0.98 if limit >= 50 else limit - 1)

        # what the service forgets at the end of a minute or an hour no request can still be on its way to
        ends = [*begins[1:], None]
        for each, end in zip(windows, ends, strict=True):
            if end is not None and each["per"] == "minute":
                assert -end % MINUTE >= 2_000 - STEP
            if end is not None and each["per"] == "hour":
                assert -end % HOUR >= 2_000 - STEP
        assert {each["per"] for each in windows} >= ({"minute", "hour", "day"} if limit > 2 else {"hour", "day"})
