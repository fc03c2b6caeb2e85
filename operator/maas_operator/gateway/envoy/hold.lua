-- A request for a service that has no instance now and will have one: the agent answers when it may go on, and until then
-- it waits here, its body with it. Its settings (SECONDS and so on) stand before this.
local AGAIN = "connect-failure,reset,gateway-error" -- while the agent is away, Envoy asks again by itself
local MOST = "4000000000"
local STATUS = { stopped = "401", frozen = "401", gone = "404", ["bad-key"] = "401" }

local function ask(handle)
  local about = handle:headers()
  local headers = {
    [":method"] = "GET", [":path"] = PATH, [":authority"] = CLUSTER,
    ["x-maas-service"] = about:get("x-maas-service"), ["x-maas-client"] = about:get("x-maas-client"),
    ["x-maas-arrived"] = tostring(handle:timestamp()), ["x-request-id"] = about:get("x-request-id"),
    ["x-envoy-retry-on"] = AGAIN, ["x-envoy-max-retries"] = MOST,
  }
  if about:get(KEEP_ALIVE) then
    headers[KEEP_ALIVE], headers[LENGTH] = about:get(KEEP_ALIVE), about:get("content-length")
  end
  local answer, said = handle:httpCall(CLUSTER, headers, "", { timeout_ms = SECONDS * 1000, send_xff = false })
  return answer[":status"] == "200" and said or "late"
end

-- It goes on by the route that it has, which leads to the instances that there are by then: Envoy finds none of those
-- that were written since it came.
local function on_request(handle)
  if not handle:metadata():get("hold") then return end
  local said = ask(handle)
  if said == KEEP then -- the route to the agent, beside its own
    handle:headers():add(GIVEN_TO, CLUSTER)
    handle:clearRouteCache()
  elseif said ~= GO then
    handle:respond({ [":status"] = STATUS[said] or "503", ["x-maas-held"] = said }, "")
  end
end

envoy_on_request = guarded(on_request)
