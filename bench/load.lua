-- The load of one case for wrk: the lines of a file in turn, each "verb <tab> path <tab> key <tab> body".
-- A request with a body bears an Idempotency-Key of its own. At the end one line says what was seen, times in microseconds.
local lines, count = {}, 0
local prefix

function init(args)
  prefix = args[2]
  for line in io.lines(args[1]) do
    local verb, path, key, body = line:match("^(%S+)\t(%S+)\t(%S+)\t?(.*)$")
    local headers = { authorization = "Bearer " .. key }
    if body == "" then
      lines[#lines + 1] = { whole = wrk.format(verb, path, headers) }
    else
      headers["content-type"] = "application/json"
      lines[#lines + 1] = { verb = verb, path = path, headers = headers, body = body }
    end
  end
end

function request()
  count = count + 1
  local line = lines[(count - 1) % #lines + 1]
  if line.whole then
    return line.whole
  end
  line.headers["idempotency-key"] = prefix .. count
  return wrk.format(line.verb, line.path, line.headers, line.body)
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'FOUND {"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
