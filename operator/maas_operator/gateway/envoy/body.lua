-- After the key is known and the body read: which service; usage on every stream. And on the way back: what the client
-- asked for, no more, and the chain of thought under both its names.
local USAGE = '"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}'
local PREFIX = 4096 -- bytes of a conversation that instances are chosen by
local MAAS = "maas"

-- What a model's version may not support of a request (M20): whether the request asks for it. The engine takes numbers
-- and booleans that are written as texts, too: only what surely asks for nothing passes.
local ASKS = {
  NAboveOne = function(asked) return asked.n ~= nil and not ((tonumber(asked.n) or 2) <= 1) end,
  BeamSearch = function(asked) return asked.use_beam_search ~= nil and asked.use_beam_search ~= false end,
  LengthPenalty = function(asked) return asked.length_penalty ~= nil and tonumber(asked.length_penalty) ~= 1 end,
}

local function refuse(handle, why) handle:respond({ [":status"] = "400", [REFUSED] = why }, "") end

-- How a conversation begins: everything before the first answer in it, the same in its first turn and in all later ones.
local function beginning(handle)
  local body = handle:body()
  local text = body:getBytes(0, math.min(PREFIX, body:length()))
  local from = string.find(text, '"messages"', 1, true) or string.find(text, '"prompt"', 1, true) or 1
  local to = string.find(text, "}%s*%]", from) or #text
  local answer = string.find(text, '"assistant"', from, true)
  if answer and answer < to then to = answer end
  local hash = 5381
  local last = from
  for i = to, from, -1 do if string.byte(text, i) == 125 then last = i break end end
  if last == from then last = to end
  for i = from, last do hash = (hash * 33 + string.byte(text, i)) % 4294967296 end
  return string.format("%08x", hash)
end

local function on_request(handle)
  local headers = handle:headers()
  local account, key, rpm, tpm, wait = string.match(headers:get("x-maas-client") or "", "^([^/]+)/(%S+) (%d+) (%d+) (%d+)$")
  if not account then return end -- only a token's request comes here without a key
  headers:replace("x-maas-client", account .. "/" .. key)
  headers:add("x-maas-account", account)
  headers:add("x-maas-key", key)
  if headers:get("x-maas-service") == "agent" then -- what the agent answers is not limited
    handle:clearRouteCache()
    return
  end
  if rpm ~= "0" then
    headers:add("x-maas-key-rpm", rpm)
    headers:add("x-maas-key-wait", wait)
  end
  if tpm ~= "0" then headers:add("x-maas-key-tpm", tpm) end
  local info = handle:streamInfo():dynamicMetadata()
  local asked = info:get("maas.request") or {}
  local id = headers:get("x-maas-id")
  if asked.malformed or (asked.stream ~= nil and type(asked.stream) ~= "boolean") then return refuse(handle) end
  if not id and (type(asked.model) ~= "string" or asked.model == "") then return refuse(handle) end
  local comments = headers:get(CLIENTS_KEEP_ALIVE)
  if comments then
    headers:remove(CLIENTS_KEEP_ALIVE)
    local seconds = tonumber(string.match(comments, "^%d%d?$") or 0)
    if seconds < 1 or seconds > MOST_KEEP_ALIVE then return refuse(handle, "keep-alive") end
    if asked.stream then headers:add(KEEP_ALIVE, comments) end
  end
  local name = id and ("id/" .. id) or ("name/" .. asked.model)
  headers:add("x-maas-name", name)
  headers:add("x-maas-route", account .. " " .. name) -- the service's route is found by this
  handle:clearRouteCache()
  local route = handle:metadata()
  local service = route:get("service")
  if not service then return end
  for _, parameter in ipairs(route:get("unsupported") or {}) do
    if ASKS[parameter](asked) then return refuse(handle, parameter) end
  end
  headers:add("x-maas-service", service)
  local affinity = route:get("affinity")
  if asked.stream then
    local last = asked.include_usage == true
    info:set(MAAS, "last", last)
    info:set(MAAS, "every", EVERY_CHUNK or (last and asked.continuous_usage_stats == true))
    headers:add("x-maas-stream", "true")
  end
  -- reading the body suspends the script: what was fetched from the handle before is not valid after
  if affinity then
    local prefix = beginning(handle)
    handle:headers():add("x-maas-prefix", prefix)
  end
  if asked.stream then
    local body = handle:body()
    local text = body:getBytes(0, body:length())
    local last = string.find(text, "}%s*$")
    if not last then return refuse(handle) end
    body:setBytes(string.sub(text, 1, last - 1) .. "," .. USAGE .. "}")
  end
end

envoy_on_request = guarded(on_request)

local function string_end(text, from) -- where the string that begins there ends
  local at = from + 1
  while true do
    local found = string.find(text, '["\\]', at)
    if not found then return nil end
    if string.byte(text, found) == 34 then return found end
    at = found + 2
  end
end

-- A quote inside a JSON string is escaped, so that what is found before a colon is a key.
local COUNTS = '"usage"%s*:%s*(%b{})'
local REASONING = '"reasoning"%s*:%s*()"'

-- `"reasoning":"..."` once more as `"reasoning_content":"..."` (M21).
local function with_reasoning(text)
  if not string.find(text, REASONING) or string.find(text, '"reasoning_content"', 1, true) then return text end
  local made, at, from = {}, 1, 1
  while true do
    local _, _, value = string.find(text, REASONING, from)
    if not value then break end
    local stop = string_end(text, value)
    if not stop then break end
    made[#made + 1] = string.sub(text, at, stop) .. ',"reasoning_content":' .. string.sub(text, value, stop)
    at, from = stop + 1, stop + 1
  end
  made[#made + 1] = string.sub(text, at)
  return table.concat(made)
end

-- The tokens of an answer that is no stream; those of streams are read by a filter of Envoy's own. One would do for this
-- too, but it takes the whole answer apart, which costs more than all that is done here.
local function count(handle, text)
  local usage = string.match(text, COUNTS)
  local info = handle:streamInfo():dynamicMetadata()
  if not usage then
    if handle:headers():get(UNREACHED) then info:set(MAAS, "unreached", true) end
    return
  end
  usage = string.gsub(string.sub(usage, 2, -2), "%b{}", "") -- without the details
  for _, name in ipairs({ "prompt_tokens", "completion_tokens" }) do
    local tokens = string.match(usage, '"' .. name .. '"%s*:%s*(%d+)')
    if tokens then info:set("maas.usage", name, tonumber(tokens)) end
  end
end

local function event(text, last, every)
  local from = string.find(text, '"usage":', 1, true)
  if from then
    if string.find(text, '"choices":[]', 1, true) then
      if not last then return "" end
    elseif not every then
      local _, to = string.find(text, "^%s*%b{}", from + 8)
      if to then text = string.gsub(string.sub(text, 1, from - 1), ",%s*$", "") .. string.sub(text, to + 1) end
    end
  end
  return with_reasoning(text)
end

-- Events may be cut anywhere: what is no whole event yet waits for the rest.
local function events(text, last, every)
  local _, stop = string.find(text, "\n\n", 1, true)
  if stop == #text then return event(text, last, every), "" end
  local made, at = {}, 1
  while stop do
    made[#made + 1] = event(string.sub(text, at, stop), last, every)
    at = stop + 1
    _, stop = string.find(text, "\n\n", at, true)
  end
  return table.concat(made), string.sub(text, at)
end

local function stream(handle, last, every)
  local rest, first, made = "", true
  for chunk in handle:bodyChunks() do
    local text = chunk:getBytes(0, chunk:length())
    if first and string.find(text, "data:", 1, true) then -- not the comments before it
      handle:streamInfo():dynamicMetadata():set(MAAS, "first_token", handle:timestamp())
      first = false
    end
    made, rest = events(rest == "" and text or rest .. text, last, every)
    if made ~= text then chunk:setBytes(made) end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type")
  if not kind then return end
  if string.find(kind, "text/event-stream", 1, true) then
    local asked = handle:streamInfo():dynamicMetadata():get(MAAS)
    if asked then stream(handle, asked.last, asked.every) end
  elseif string.find(string.lower(kind), "application/json", 1, true) then
    -- the agent's lines come one by one, without a length: they must not be waited for
    if not headers:get("content-length") and not handle:metadata():get("service") then return end
    local body = handle:body()
    if not body then return end
    local text = body:getBytes(0, body:length())
    count(handle, text)
    local made = with_reasoning(text)
    if made ~= text then body:setBytes(made) end
  end
end
