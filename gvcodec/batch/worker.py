"""A worker process for one task; `gvcodec.batch.engines` starts it."""

from gvcodec.batch.engines import work

if __name__ == "__main__":
    work()
