"""Helpers that all other packages may import, about files, messages, options and the process. In:
values of the standard library and arrays. Out: the same; nothing here knows a stream.

    file_io, uris       inputs and outputs that appear whole, on disks and stores
    boxes               MP4 boxes and Matroska elements without FFmpeg
    ffmpeg, programs    the program `ffmpeg` and its process; how programs are found
    options, kinds      options of commands and keywords, defined once; checks of values
    messages, progress  wording, times and amounts; bars, lines or JSON
    process, signals    scheduling and memory of the process; SIGINT, SIGTERM and SIGHUP
    colour, tensors     matrices of colour; planes in torch
    torch_settings      our networks under torch's defaults
    deprecation         old names that still work
    version             the version in words
"""
