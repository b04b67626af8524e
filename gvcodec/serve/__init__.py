"""`gvcodec serve`: streams as HLS, painted on this machine, for everything that plays HLS."""
