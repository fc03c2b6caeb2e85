-- What a request asks for, and with whose key. What the client said under our own names (x-maas-*) is gone by now.
local MAX_KEY = 512 -- bytes of a key that are worth a hash
local REMEMBERED = 16384 -- digests in each of two generations, in each worker
local MAX_REMEMBERED = 128 -- bytes of a header that is worth remembering

local PATHS = { -- path -> method, what is asked for
  ["/v1/chat/completions"] = { "POST", "model" },
  ["/v1/completions"] = { "POST", "model" },
  ["/v1/models"] = { "GET", "models" },
  ["/v1/maas/models"] = { "GET", "products" },
  ["/v1/maas/generatestream"] = { "POST", "generatestream" },
  ["/oauth2/token"] = { "POST", "token" },
}

-- Digests of the keys seen last: hashing and taking headers apart takes longer than all else here. They are found by the
-- header's whole text, since anything shorter could be another key's too. Whether a key counts is not remembered: that is
-- looked up each time.
local young, old, count = {}, {}, 0

local function digest_of(sent)
  local known = old[sent]
  if not known then
    local key = string.match(sent, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+) *$")
    if not key then return end
    if string.match(key, "^eyJ[%w_-]+%.[%w_-]+%.[%w_-]+$") then return nil, key end
    known = #key <= MAX_KEY and sha256(key) or "too-long"
  end
  if #sent <= MAX_REMEMBERED then
    if count == REMEMBERED then young, old, count = {}, young, 0 end
    young[sent], count = known, count + 1
  end
  return known
end

local function credentials(headers)
  local sent = headers:get("authorization")
  if not sent then return end
  headers:remove("authorization")
  local digest, token = young[sent], nil
  if not digest then digest, token = digest_of(sent) end
  if digest then
    headers:add("x-maas-key-hash", digest)
  elseif token then
    headers:add("x-maas-token", token)
  end
end

local function on_request(handle)
  local headers = handle:headers()
  local whole = headers:get(":path")
  local known, id, rest, query = PATHS[whole], nil, nil, nil
  if not known then
    local path
    path, query = string.match(whole, "^([^?]*)(.*)$")
    id, rest = string.match(path, "^/v1/infers/([^/]+)(/v1/.+)$")
    known = PATHS[rest or path]
  end
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
