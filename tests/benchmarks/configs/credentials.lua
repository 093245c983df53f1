-- A different credential with each request, round and round; the argument is a file with a line
-- for each.
local requests, sent = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", "/", {Host = wrk.headers["Host"], Authorization = line})
  end
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end
