-- What the content control endpoint answered: a JSON object with `allowed`, true or false, and perhaps `reason`, a text.
-- Other fields are passed over. Envoy's Lua has no JSON of its own.
local LONGEST_REASON = 1000 -- bytes of it that the client is shown

local function string_end(text, at) -- where the string that begins at `at` ends
  repeat
    at = string.find(text, '["\\%c]', at + 1)
    local letter = at and string.byte(text, at)
    if letter == 34 then return at end
    if letter == 92 then at = at + 1 end
  until letter ~= 92
end

local function value_end(text, at) -- of any value; what is inside of a list or an object is not looked at
  local letter = string.byte(text, at)
  if letter == 34 then return string_end(text, at) end
  if letter ~= 123 and letter ~= 91 then return select(2, string.find(text, "^[%w+.-]+", at)) end
  local depth = 0
  while at do
    letter = string.byte(text, at)
    if letter == 34 then at = string_end(text, at)
    elseif letter == 123 or letter == 91 then depth = depth + 1
    else depth = depth - 1 end
    if depth == 0 then return at end
    at = at and string.find(text, '["%[%]{}]', at + 1)
  end
end

local function fields(text) -- name -> value as it is written; nil where the text is no object, or a name comes twice
  local at = select(2, string.find(text, "^%s*{%s*"))
  if not at then return end
  local found, sign = {}, nil
  repeat
    at = at + 1
    if string.byte(text, at) ~= 34 then return end
    local name_end = string_end(text, at)
    local colon = name_end and select(2, string.find(text, "^%s*:%s*", name_end + 1))
    local stop = colon and value_end(text, colon + 1)
    if not stop then return end
    local name = string.sub(text, at + 1, name_end - 1)
    if found[name] then return end
    found[name] = string.sub(text, colon + 1, stop)
    at, sign = select(2, string.find(text, "^%s*([,}])%s*", stop + 1)), string.match(text, "^%s*([,}])", stop + 1)
    if not at then return end
  until sign == "}"
  return at == #text and found or nil
end

local LETTERS = { -- of a JSON string: ASCII, escapes, and well-formed UTF-8 (Unicode, table 3-7)
  '^[^%c"\\\128-\255]', '^\\["\\/bfnrt]', "^\\u[0-9a-cA-CefEF]%x%x%x", "^\\u[dD][0-7]%x%x",
  "^\\u[dD][89abAB]%x%x\\u[dD][c-fC-F]%x%x",
  "^[\194-\223][\128-\191]",
  "^\224[\160-\191][\128-\191]", "^[\225-\236\238\239][\128-\191][\128-\191]", "^\237[\128-\159][\128-\191]",
  "^\240[\144-\191][\128-\191][\128-\191]", "^[\241-\243][\128-\191][\128-\191][\128-\191]",
  "^\244[\128-\143][\128-\191][\128-\191]",
}

local function letter_end(text, at)
  for _, letter in ipairs(LETTERS) do
    local _, stop = string.find(text, letter, at)
    if stop then return stop end
  end
end

-- The reason as it may stand in a JSON string again: up to its bound, or to what may not stand there.
local function shown(reason)
  local stop, next_ = 0, 0
  while next_ and next_ <= LONGEST_REASON do
    stop, next_ = next_, letter_end(reason, next_ + 1)
  end
  return string.sub(reason, 1, stop)
end

-- Whether it is allowed, and the reason; nil where that is no such answer.
local function verdict(text)
  local found = fields(text)
  if not found or (found.allowed ~= "true" and found.allowed ~= "false") then return end
  return found.allowed == "true", shown(string.match(found.reason or "", '^"(.*)"$') or "")
end
