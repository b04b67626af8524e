"""Encoding of many files, in chunks, on many cores and machines (`gvcodec batch`, `gvcodec encode
--jobs`). In: files, folders, globs, tables. Out: a folder of streams, and a table of results.

    inputs   lists the videos; `probe`: of files whose names do not tell
    tasks    a worker's steps: cut a video into chunks at keyframes of the source, encode one
    join     chunks into one stream
    driver   leads all files from one task to the next
    engines  run tasks in processes of this machine (`worker`) or on a cluster
    ledger   records progress and writes the table

Pixels are read and written by the workers alone. Chunks, threads and names depend on the video and
the settings only, so every engine and every number of jobs writes the same bytes."""
