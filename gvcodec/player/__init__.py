"""The player of `gvcodec play`. In: a stream. Out: a page that decodes in the browser (`web/` of
the checkout). `server` answers it, and sends decoded frames to browsers that cannot decode;
`http_answers` is HTTP for `play` and `serve`."""
