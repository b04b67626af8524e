"""Reading and writing video: anything PyAV reads goes to `Planes`, `Planes` go to mp4, mkv, y4m or
png."""
