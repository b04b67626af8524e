"""Encoding of many files, in chunks, on many cores and machines (`gvcodec batch`, `gvcodec encode
--jobs`).

`inputs` finds what is to be encoded, `plan` cuts a video into chunks at keyframes of the source,
`tasks` is what a worker does with one of them, `driver` leads all files from one to the next.
`engines` runs tasks: in processes of this machine or on a cluster. `store` reads and writes files
and URIs, `ledger` remembers what is done and tells it in a table.

Pixels are read and written by the workers alone. Chunks, threads and names depend on the video and
the settings only, so every engine and every number of jobs writes the same bytes."""
