// Actions of keys: one table for the keyboard and for its help.

/** { keys: values of KeyboardEvent.key, shown: for the reader, does, act(player, page, shift) }. */
export const KEYS = [
  { keys: [" ", "k"], shown: ["Space", "K"], does: "Play, pause", act: (player) => player.toggle() },
  { keys: ["ArrowLeft"], shown: ["←"], does: "5 seconds back (Shift: keyframe before)", act: (player, page, shift) => (shift ? player.seekKey(false) : player.seekBy(-5)) },
  { keys: ["ArrowRight"], shown: ["→"], does: "5 seconds on (Shift: next keyframe)", act: (player, page, shift) => (shift ? player.seekKey(true) : player.seekBy(5)) },
  { keys: ["j"], shown: ["J"], does: "10 seconds back", act: (player) => player.seekBy(-10) },
  { keys: ["l"], shown: ["L"], does: "10 seconds on", act: (player) => player.seekBy(10) },
  { keys: [","], shown: [","], does: "One frame back", act: (player) => player.step(-1) },
  { keys: ["."], shown: ["."], does: "One frame on", act: (player) => player.step(1) },
  { keys: ["Home"], shown: ["Home"], does: "Beginning", act: (player) => player.go(0) },
  { keys: ["End"], shown: ["End"], does: "End", act: (player) => player.go(player.frames - 1) },
  { keys: [..."0123456789"], shown: ["0", "…", "9"], does: "Tenths of the video", act: (player, page, shift, key) => player.go((player.frames * key) / 10) },
  { keys: ["m"], shown: ["M"], does: "Next moment that was found, or of the summary", act: (player) => player.seekMoment() },
  { keys: ["c"], shown: ["C"], does: "Compare, or all painted", act: (player, page) => page.setMode(player.mode === "compare" ? "painted" : "compare") },
  { keys: ["p"], shown: ["P"], does: "Painted, or base layer", act: (player, page) => page.setMode(player.mode === "base" ? "painted" : "base") },
  { keys: ["s"], shown: ["S"], does: "Compare with the source, or the base layer", act: (player, page) => page.changeLeft() },
  { keys: ["t"], shown: ["T"], does: "Tokens that steer the painter, over the picture", act: (player, page) => page.showTokens() },
  { keys: ["<"], shown: ["<"], does: "Slower", act: (player, page) => page.changeSpeed(-1) },
  { keys: [">"], shown: [">"], does: "Faster", act: (player, page) => page.changeSpeed(1) },
  { keys: ["ArrowUp"], shown: ["↑"], does: "Louder", act: (player) => player.changeVolume(1) },
  { keys: ["ArrowDown"], shown: ["↓"], does: "Softer", act: (player) => player.changeVolume(-1) },
  { keys: ["v"], shown: ["V"], does: "Sound, or none", act: (player) => player.changeVolume(0) },
  { keys: ["f"], shown: ["F"], does: "Full screen", act: (player, page) => page.fullScreen() },
  { keys: ["o"], shown: ["O"], does: "Open a file", act: (player, page) => page.chooseFile(), always: true },
  { keys: ["?"], shown: ["?"], does: "This help", act: (player, page) => page.help(), always: true },
];

/** Calls `act` of the key pressed. Buttons, links and lists keep their own keys. */
export function listenToKeys(page) {
  addEventListener("keydown", (event) => {
    const { player } = window, { key, target } = event;
    const found = KEYS.find(({ keys }) => keys.includes(key.length === 1 ? key.toLowerCase() : key));
    if (!found || event.ctrlKey || event.metaKey || event.altKey || target.tagName === "SELECT") return;
    if (key === " " && target.closest("button, summary, label")) return;
    if (target.name === "mode" && key.startsWith("Arrow")) return;
    if (page.helps ? key !== "?" : !found.always && !player?.shown) return;
    event.preventDefault();
    found.act(player, page, event.shiftKey, key);
  });
  // After a click on a button the space bar plays again.
  addEventListener("click", ({ detail }) => detail && document.activeElement?.matches("button, input") && document.activeElement.blur());
}

/** Entries of a <dl>. */
export function keyHelp() {
  return KEYS.map(({ shown, does }) => {
    const row = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
    term.append(...shown.map((name) => Object.assign(document.createElement(name === "…" ? "span" : "kbd"), { textContent: name })));
    text.textContent = does;
    row.append(term, text);
    return row;
  });
}
