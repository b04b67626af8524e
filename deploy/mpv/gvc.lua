-- Plays .gvc files painted: `gvcodec decode` fills a temporary Matroska file, which mpv plays meanwhile (seeking works within what
-- is decoded). Put this file into ~/.config/mpv/scripts/. $GVCODEC names another program than `gvcodec`, $TMPDIR another folder.
local utils = require "mp.utils"
local ENOUGH = 262144 -- bytes after which mpv begins
local running, folder

local function stop()
  if running then mp.abort_async_command(running) end
  if folder then utils.subprocess({args = {"rm", "-rf", folder}}) end
  running, folder = nil, nil
end

mp.add_hook("on_load", 5, function(hook)
  local path = mp.get_property("stream-open-filename")
  if not path:lower():match("%.gvc$") then return end
  stop()
  folder = utils.subprocess({args = {"mktemp", "-d", "-t", "gvcodec-XXXXXX"}}).stdout:gsub("%s+$", "")
  local decoded, done = folder .. "/video.mkv", false
  running = mp.command_native_async({
    name = "subprocess", playback_only = false, capture_stderr = true,
    args = {"sh", "-c", '"$1" decode --quiet "$2" - -f matroska | cat > "$3"', "sh", os.getenv("GVCODEC") or "gvcodec", path, decoded},
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
