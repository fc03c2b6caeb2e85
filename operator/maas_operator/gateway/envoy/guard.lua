-- A script that fails would let its request through: past its key's check, unmetered, or not asked about.
local function guarded(on_request)
  return function(handle)
    local done, why = pcall(on_request, handle)
    if done then return end
    handle:logErr(tostring(why))
    handle:respond({ [":status"] = "500" }, "")
  end
end

