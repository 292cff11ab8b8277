-- Writes the time, as a write of a record would be written.
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'checked', string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2])))
return 1
