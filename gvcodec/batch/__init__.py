"""Encoding of many files, in chunks, on many cores and machines (`gvcodec batch`, `gvcodec encode
--jobs`). In: files, folders, globs, tables. Out: a folder of streams, and a table of results.

`inputs` lists the videos, `tasks` has a worker's steps: cut a video into chunks at keyframes of the
source, encode one, join them. `driver` leads all files from one task to the next, `engines` runs
tasks in processes of this machine or on a cluster, `ledger` records progress and writes the table.

Pixels are read and written by the workers alone. Chunks, threads and names depend on the video and
the settings only, so every engine and every number of jobs writes the same bytes."""
