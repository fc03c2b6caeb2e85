-- The health that Argo CD has found for an Application: with it, the waves of an Application of Applications wait for each
-- other.
local health = obj.status ~= nil and obj.status.health or {}
return { status = health.status or "Progressing", message = health.message or "" }
