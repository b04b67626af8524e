"""Encoding of many files, in chunks, on many cores and machines (`gvcodec batch`, `gvcodec encode
--jobs`).

`inputs` finds what is to be encoded, `plan` cuts a video into chunks at keyframes of the source,
`tasks` is what a worker does with one of them, `flow` leads a file from one to the next, `driver`
all files. `engines` opens what runs tasks: `local` does so in processes of this machine,
`ray_engine` on a cluster; `task` says what that is and `worker` does one. `store` reads and writes
files and URIs, `ledger` remembers what is done, `table` tells it.

Everything between driver and workers is JSON: pixels are read and written by the workers alone.
Chunks, threads and names depend on the video and the settings only, so every engine and every
number of jobs writes the same bytes."""
