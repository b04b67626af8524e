"""`gvcodec serve`. In: streams. Out: HLS over HTTP, painted on this machine, for everything that
plays HLS. `server` answers requests, `film` makes a stream's segments, `sound` its sound."""
