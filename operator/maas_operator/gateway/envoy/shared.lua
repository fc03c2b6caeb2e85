-- Limits that are counted in a store, over all replicas: in windows of time of which none lets more through than its
-- share. Which window it is now, and what part of it a request takes.
local SHARED = "maas.shared"
local MINUTE, HOUR = 60000, 3600000 -- milliseconds
local LATE = 2000 -- by so much a question may come after its window's end, or another machine's clock be wrong
local WHOLE = 1000000000 -- parts of a window; the service's file says the same

-- A window holds half a second's worth, at least one request. Over any 60 seconds lie parts of one window more than a
-- minute has: of 50 requests and more that is within 2 %, of fewer there is one window less.
local function window(minutely, now)
  local burst = math.max(1, math.floor(minutely / 120))
  local windows = minutely >= 50 and math.floor(minutely / burst) or math.max(1, minutely - 1)
  local number = math.floor(now * windows / MINUTE)
  local stop = (number + 1) * MINUTE / windows
  -- the service forgets what it counted at the end of this: a window that ends near to that is kept for longer
  local per = (stop + LATE) % MINUTE > LATE and "minute" or (stop + LATE) % HOUR > LATE and "hour" or "day"
  return {
    number = string.format("%.0f", number),
    per = per,
    hits = math.floor(WHOLE / burst),
    wait = math.ceil((stop - now) / 1000),
  }
end

local function on_request(handle)
  local now, route = handle:timestamp(), handle:metadata()
  local limits = { -- requests a minute
    key_requests = tonumber(handle:headers():get("x-maas-key-rpm") or 0),
    service_requests = route:get("rpm") or 0,
    service_qps = (route:get("qps") or 0) * 60,
  }
  local info = handle:streamInfo():dynamicMetadata()
  for name, minutely in pairs(limits) do
    if minutely > 0 then info:set(SHARED, name, window(minutely, now)) end
  end
end

envoy_on_request = guarded(on_request)
