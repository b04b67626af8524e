-- Plays .gvc files painted, without sound: `gvcodec decode` fills a temporary file of raw frames, which mpv plays meanwhile. Put this file into ~/.config/mpv/scripts/. $GVCODEC names another program than `gvcodec`, $TMPDIR another folder.
local utils = require "mp.utils"
local ENOUGH = 262144 -- bytes after which mpv begins
local running, folder

local function stop()
  if running then mp.abort_async_command(running) end
  if folder then
    os.remove(folder .. "/video.y4m")
    os.remove(folder)
  end
  running, folder = nil, nil
end

mp.add_hook("on_load", 5, function(hook)
  local path = mp.get_property("stream-open-filename")
  if not path:lower():match("%.gvc$") then return end
  stop()
  folder = utils.subprocess({args = {"mktemp", "-d", "-t", "gvcodec-XXXXXX"}}).stdout:gsub("%s+$", "")
  local decoded, done = folder .. "/video.y4m", false
  running = mp.command_native_async({
    name = "subprocess", playback_only = false, capture_stderr = true,
    args = {"sh", "-c", '"$1" decode --quiet "$2" - -f y4m > "$3"', "sh", os.getenv("GVCODEC") or "gvcodec", path, decoded},
  }, function(_, result)
    done, running = true, nil
    if result and result.status ~= 0 and not result.killed_by_us then mp.msg.error(result.stderr) end
  end)
  hook:defer()
  local timer
  timer = mp.add_periodic_timer(0.05, function()
    local found = utils.file_info(decoded)
    if not done and (not found or found.size < ENOUGH) then return end
    timer:kill()
    mp.set_property("stream-open-filename", (done and "" or "appending://") .. decoded)
    hook:cont()
  end)
end)
mp.add_hook("on_unload", 50, stop)
mp.register_event("shutdown", stop)
