"""The player of `gvcodec play`: a page that decodes in the browser (`web/` of the checkout), and a
local server for it."""
