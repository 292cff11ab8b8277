-- Removes the record if it has the version ARGV[1], and keeps its version. Returns 1 if it did, and 0 if not.
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then
  return 0
end
return redis.call('HDEL', KEYS[1], 'record')
