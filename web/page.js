// The page: opens files by URL, choice or drop.

import { Controls } from "./controls.js";
import { listenToKeys } from "./keys.js";
import { Player } from "./player.js";
import { openStream } from "./streams.js";

const element = (id) => document.getElementById(id);
const controls = new Controls();

function open(where) {
  window.player?.close();
  window.player = new Player(where, element("picture"), controls);
  controls.begin(window.player);
}

/** The file that `gvcodec play` offers, or that the address names: player/?file=a.gvc */
async function begin() {
  const asked = new URLSearchParams(location.search), named = asked.get("file");
  const [gpu, view] = ["gpu", "view"].map((name) => asked.get(name) ?? "");
  if (named) return open({ url: new URL(named, location.href).href, gpu, view });
  const answer = await fetch("play.json").catch(() => null);
  const offered = answer?.ok && answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : null;
  if (offered) return open({ url: new URL("stream", location.href).href, native: offered, gpu, view });
  controls.say("Drop a video here");
}

const isVideo = ({ name, type }) => type.startsWith("video/") || /\.(mp4|m4v|mov|webm|mkv)$/i.test(name);

/** Play a stream; another video dropped on it becomes its reference. */
async function openFile(file) {
  if (!file) return;
  const gpu = new URLSearchParams(location.search).get("gpu") ?? "";
  const other = window.player?.shown && isVideo(file) && !(await openStream(file).catch(() => null));
  if (other) controls.compareWith(URL.createObjectURL(file));
  else open({ file, gpu });
}

/** Files may be dropped anywhere. */
function listenToDrops() {
  let inside = 0;
  const show = () => (element("drop").hidden = !inside);
  const isFile = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  const on = (name, act) => addEventListener(name, (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    act(event);
    show();
  });
  on("dragenter", () => ++inside);
  on("dragover", () => {});
  on("dragleave", () => (inside = Math.max(0, inside - 1)));
  on("drop", ({ dataTransfer }) => {
    inside = 0;
    openFile(dataTransfer.files[0]);
  });
}

listenToKeys(controls);
listenToDrops();
element("file").addEventListener("change", ({ target }) => {
  openFile(target.files[0]);
  target.value = ""; // the same file may be chosen again
});
begin();
