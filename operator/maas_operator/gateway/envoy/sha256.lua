-- SHA-256 (FIPS 180-4) of a string, as 64 lower-case hexadecimal digits. Envoy has no hash of its own for a header.
local bit = require("bit")
local band, bnot, bxor, ror, rshift, tobit = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit
local K, W = {}, {}
do -- the first 32 bits of the fractional parts of the cube roots of the first 64 primes
  local n, found = 2, 0
  while found < 64 do
    local prime = true
    for d = 2, math.floor(math.sqrt(n)) do if n % d == 0 then prime = false break end end
    if prime then
      local root = n ^ (1 / 3)
      K[found] = tobit(math.floor((root - math.floor(root)) * 4294967296))
      found = found + 1
    end
    n = n + 1
  end
end

local function sha256(text)
  local length = #text
  text = text .. "\128" .. string.rep("\0", (55 - length) % 64) .. "\0\0\0\0" ..
    string.char(band(rshift(length * 8, 24), 255), band(rshift(length * 8, 16), 255),
                band(rshift(length * 8, 8), 255), band(length * 8, 255))
  local a0, b0, c0, d0 = 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a
  local e0, f0, g0, h0 = 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
  for from = 1, #text, 64 do
    for i = 0, 15 do
      local a, b, c, d = string.byte(text, from + i * 4, from + i * 4 + 3)
      W[i] = tobit(a * 16777216 + b * 65536 + c * 256 + d)
    end
    for i = 16, 63 do
      local x, y = W[i - 15], W[i - 2]
      W[i] = tobit(W[i - 16] + bxor(ror(x, 7), ror(x, 18), rshift(x, 3)) + W[i - 7] +
                   bxor(ror(y, 17), ror(y, 19), rshift(y, 10)))
    end
    local a, b, c, d, e, f, g, h = a0, b0, c0, d0, e0, f0, g0, h0
    for i = 0, 63 do
      local t1 = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + K[i] + W[i])
      local t2 = tobit(bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c)))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
    end
    a0, b0, c0, d0 = tobit(a0 + a), tobit(b0 + b), tobit(c0 + c), tobit(d0 + d)
    e0, f0, g0, h0 = tobit(e0 + e), tobit(f0 + f), tobit(g0 + g), tobit(h0 + h)
  end
  local hex = bit.tohex
  return hex(a0) .. hex(b0) .. hex(c0) .. hex(d0) .. hex(e0) .. hex(f0) .. hex(g0) .. hex(h0)
end
