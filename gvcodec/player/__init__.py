"""The player of `gvcodec play`. In: a stream. Out: a page that decodes in the browser (`web/` of
the checkout), by a local server that also sends decoded frames to browsers that cannot decode."""
