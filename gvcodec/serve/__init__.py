"""`gvcodec serve`. In: streams. Out: HLS over HTTP, painted on this machine, for everything that
plays HLS.

    server        answers requests
    segments      codes segments in a thread and keeps the newest
    film          segments of pictures
    sound         segments of sound; `aac_segments` codes them so that they fit each other"""
