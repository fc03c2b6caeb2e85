-- Health of the kinds of maas-operator.io, read from their conditions: exactly one of Ready, Reconciling and Stalled is
-- True. Argo CD gives the object as `obj`, and none of Lua's string library.
local NOT_IN_USE = { Stopped = true, AutoStopped = true, ScaledToZero = true }
local FAILING = { Alarm = true, Failed = true }

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "it is being deleted" }
end

local status = obj.status or {}
-- What is said of an earlier spec says nothing of this one.
if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not looked at this spec yet" }
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready or { message = "the status has no condition Ready" }

if conditions.Stalled ~= nil and conditions.Stalled.status == "True" then
  return { status = "Degraded", message = conditions.Stalled.message }
end
-- An instance fails, and the operator is at it: of interest now, not only if it does not succeed.
if FAILING[status.phase] then
  return { status = "Degraded", message = ready.message }
end
if ready.status ~= "True" then
  return { status = "Progressing", message = ready.message }
end
-- Stopped is somebody's wish; a service that sleeps answers the next request, and is healthy.
if NOT_IN_USE[ready.reason] then
  return { status = "Suspended", message = ready.message }
end
return { status = "Healthy", message = ready.message }
