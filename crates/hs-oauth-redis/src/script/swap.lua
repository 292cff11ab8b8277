-- Writes the record ARGV[2] if the stored one has the version ARGV[1], or, if that is empty, if none is stored.
-- Returns the new version, or nil if another version is stored.
local last = redis.call('HGET', KEYS[1], 'version')
local current = ''
if redis.call('HEXISTS', KEYS[1], 'record') == 1 then
  current = last or 'none'
end
if current ~= ARGV[1] then
  return false
end
if last and not string.match(last, '^[1-9]%d*$') then
  return redis.error_reply('VERSION is not a number')
end
-- Whatever was lost, the clock is past the versions that were given out before. Numbers are exact up to 2^53.
local number = tonumber(last) or 0
if number >= 9007199254740992 then
  return redis.error_reply('VERSION is too great')
end
local time = redis.call('TIME')
local version = string.format('%.0f', math.max(number + 1, tonumber(time[1]) * 1000000 + tonumber(time[2])))
redis.call('HSET', KEYS[1], 'version', version, 'record', ARGV[2])
return version
