-- Content control: the user's endpoint is asked before a request goes to an instance, and before an answer that is not
-- streamed goes to the client. Its settings (STAGE and so on) stand before this; STAGE says which of the two this is.
local MAX_VERDICT = 65536 -- bytes of the endpoint's answer
local SILENCE = 10 -- seconds between two warnings of a worker
local CONTROL = "maas.control"
local token, read_at, warned_at = nil, 0, 0

local function escaped(letter) return string.format("\\u%04x", string.byte(letter)) end
local function quoted(text) return '"' .. string.gsub(text or "", '[%c"\\]', escaped) .. '"' end

-- The endpoint's bearer token. The file is looked at again every second, since Secrets change.
local function bearer()
  if os.time() ~= read_at then
    local file = io.open(TOKEN_FILE)
    token, read_at = file and string.match(file:read("*a") or "", "^%s*([%w._~+/=-]+)%s*$"), os.time()
    if file then file:close() end
  end
  return token
end

-- A body as it may stand in the question, of which Envoy's JSON reader has found that it is one value. That reader passes
-- over a byte order mark, and takes a NUL for the end: then nil.
local function value(body)
  local text = body and body:getBytes(0, body:length()) or ""
  if string.find(text, "\0", 1, true) then return end
  if string.sub(text, 1, 3) == "\239\187\191" then text = string.sub(text, 4) end
  return string.find(text, "%S") and text or "null"
end

-- Whether the endpoint allows it, and why not; nil, and what went wrong, where it gave no verdict.
local function ask(handle, about, text)
  local headers = {
    [":method"] = "POST", [":path"] = PATH, [":authority"] = AUTHORITY,
    ["content-type"] = "application/json", ["accept"] = "application/json",
  }
  if TOKEN_FILE then
    local sent = bearer()
    if not sent then return nil, "not asked: no token in " .. TOKEN_FILE end
    headers["authorization"] = "Bearer " .. sent
  end
  local asked = '{"stage":"' .. STAGE .. '",' .. about .. ',"body":' .. text .. "}"
  local answer, said = handle:httpCall(CLUSTER, headers, asked, { timeout_ms = MILLISECONDS, send_xff = false })
  if answer[":status"] ~= "200" then return nil, "status " .. tostring(answer[":status"]) end
  if not said or #said > MAX_VERDICT then return nil, "an answer that is empty or too long" end
  local allowed, reason = verdict(said)
  if allowed == nil then return nil, "an answer without a verdict" end
  return allowed, reason
end

-- nil where it may pass; otherwise what the client is told.
local function refusal(handle, allowed, why)
  local outcome = allowed and "allowed" or allowed == false and "refused" or "failed"
  handle:streamInfo():dynamicMetadata():set(CONTROL, STAGE, outcome)
  if allowed then return end
  if allowed == false then return REFUSED .. (why == "" and "." or ": " .. why) end
  if os.time() >= warned_at + SILENCE then
    warned_at = os.time()
    handle:logWarn("content control gave no verdict on an " .. STAGE .. ": " .. why)
  end
  if REFUSE then return NO_VERDICT .. "." end
end

local function body_of(id, message)
  return '{"error_code":"' .. CODE .. '","error_msg":"' .. message .. '","request_id":' .. quoted(id) .. "}"
end

local function on_request(handle)
  local headers = handle:headers()
  local id = headers:get("x-maas-service")
  if not id or id == "agent" then return end -- no instance is asked for anything
  local request_id, route = headers:get("x-request-id"), handle:metadata()
  local about = '"request_id":' .. quoted(request_id) ..
    ',"account":' .. quoted(headers:get("x-maas-account")) .. ',"key":' .. quoted(headers:get("x-maas-key")) ..
    ',"service_namespace":' .. quoted(route:get("namespace")) .. ',"service":' .. quoted(route:get("name")) ..
    ',"model":' .. quoted(route:get("model"))
  if OUTPUT then
    local info = handle:streamInfo():dynamicMetadata()
    info:set(CONTROL, "request_id", request_id)
    info:set(CONTROL, "about", about)
  end
  if not INPUT then return end
  local text = value(handle:body())
  if not text then return handle:respond({ [":status"] = "400" }, "") end
  local message = refusal(handle, ask(handle, about, text))
  if message then handle:respond({ [":status"] = STATUS }, body_of(request_id, message)) end
end

local function replace(handle, text)
  handle:body(true):setBytes(text)
  local headers = handle:headers()
  headers:replace(":status", STATUS)
  headers:replace("content-type", "application/json")
end

local function on_response(handle)
  local info = handle:streamInfo():dynamicMetadata()
  local asked, broken = info:get(CONTROL), info:get("maas.answer")
  if not asked then return end
  local headers = handle:headers()
  local kind = string.lower(headers:get("content-type") or "")
  if string.find(headers:get(":status"), "^[45]") or string.find(kind, "^text/event%-stream") then return end
  local text = not broken and string.find(kind, "^application/json") and value(handle:body())
  local message
  if text then message = refusal(handle, ask(handle, asked.about, text))
  else message = refusal(handle, nil, "not asked: it is no JSON") end
  if message then replace(handle, body_of(asked.request_id, message)) end
end

if STAGE == "input" then
  envoy_on_request = guarded(on_request)
else -- a script that fails would let the answer through
  function envoy_on_response(handle)
    local done, why = pcall(on_response, handle)
    if done then return end
    handle:logErr(tostring(why))
    local asked = handle:streamInfo():dynamicMetadata():get(CONTROL)
    replace(handle, body_of(asked and asked.request_id, NO_VERDICT .. "."))
  end
end
