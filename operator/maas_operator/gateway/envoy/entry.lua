-- What a request asks for, and with whose key. What the client said under our own names (x-maas-*) is gone by now.
local MAX_KEY = 512 -- bytes of a key that are worth a hash

local PATHS = { -- path -> method, what is asked for
  ["/v1/chat/completions"] = { "POST", "model" },
  ["/v1/completions"] = { "POST", "model" },
  ["/v1/models"] = { "GET", "models" },
  ["/v1/maas/models"] = { "GET", "products" },
  ["/v1/maas/generatestream"] = { "POST", "generatestream" },
  ["/oauth2/token"] = { "POST", "token" },
}

local function credentials(headers)
  local sent = headers:get("authorization")
  headers:remove("authorization")
  local key = sent and string.match(sent, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+) *$")
  if not key then return end
  if string.match(key, "^eyJ[%w_-]+%.[%w_-]+%.[%w_-]+$") then
    headers:add("x-maas-token", key)
  else
    headers:add("x-maas-key-hash", #key <= MAX_KEY and sha256(key) or "too-long")
  end
end

local function on_request(handle)
  local headers = handle:headers()
  local whole = headers:get(":path")
  local path, query = string.match(whole, "^([^?]*)(.*)$")
  local id, rest = string.match(path, "^/v1/infers/([^/]+)(/v1/.+)$")
  local known = PATHS[rest or path]
  if not known or (id and known[2] ~= "model" and known[2] ~= "models") then
    handle:respond({ [":status"] = "404" }, "")
    return
  end
  if headers:get(":method") ~= known[1] then
    handle:respond({ [":status"] = "405", ["allow"] = known[1] }, "")
    return
  end
  if id then
    headers:replace(":path", rest .. query)
    headers:add("x-maas-id", id)
  end
  if known[2] == "model" then
    credentials(headers)
  elseif known[2] ~= "token" then
    local sent = headers:get("authorization")
    credentials(headers)
    if known[2] == "generatestream" and sent then headers:add("x-maas-authorization", sent) end
    headers:add("x-maas-route", "!agent")
    headers:add("x-maas-service", "agent")
  end
end

envoy_on_request = guarded(on_request)
