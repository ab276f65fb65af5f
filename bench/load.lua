-- What wrk runs: with a file of "host path" lines it asks for one after the other, else for the one URL it was
-- given; at the end it writes what it counted on one line.

function init(arguments)
   if not arguments[1] then return end
   local requests = {}
   for host, path in io.open(arguments[1]):read("*a"):gmatch("(%S+) (%S+)\n") do
      requests[#requests + 1] = wrk.format("GET", path, { Host = host })
   end
   local number = 0
   request = function()
      number = number % #requests + 1
      return requests[number]
   end
end

function done(summary)
   local errors = summary.errors
   local broken = errors.connect + errors.read + errors.write + errors.timeout
   io.write(string.format("counted %d %d %d %d %d\n",
      summary.requests, summary.duration, summary.bytes, errors.status, broken))
end
