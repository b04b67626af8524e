"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const data = JSON.parse(get("data").textContent);

  // Curves: one chart is shown, chosen by metric and clip; hidden rows stay hidden in all.
  const figures = [...document.querySelectorAll("[data-chart]")];
  const metricButtons = [...document.querySelectorAll("[data-metric]")];
  const hidden = new Set();
  let metric = metricButtons.length ? metricButtons[0].dataset.metric : "";

  function showChart() {
    const wanted = metric + "|" + get("clip").value;
    figures.forEach((figure) => { figure.hidden = figure.dataset.chart !== wanted; });
    metricButtons.forEach((button) => button.classList.toggle("on", button.dataset.metric === metric));
    document.querySelectorAll("#charts .series").forEach((line) => {
      line.style.display = hidden.has(line.dataset.key) ? "none" : "";
    });
  }
  metricButtons.forEach((button) => button.addEventListener("click", () => { metric = button.dataset.metric; showChart(); }));
  get("clip").addEventListener("change", showChart);
  document.querySelectorAll("#legend button").forEach((button) => {
    const row = button.dataset.row;
    button.addEventListener("click", () => {
      hidden.has(row) ? hidden.delete(row) : hidden.add(row);
      button.classList.toggle("off", hidden.has(row));
      showChart();
    });
    const light = (on) => figures.filter((f) => !f.hidden).forEach((figure) => {
      figure.firstElementChild.classList.toggle("dim", on);
      figure.querySelectorAll(".series").forEach((line) => line.classList.toggle("lit", on && line.dataset.key === row));
    });
    button.addEventListener("mouseenter", () => light(true));
    button.addEventListener("mouseleave", () => light(false));
  });
  showChart();

  // Visual comparison.
  const shots = data.shots;
  if (!shots.length) { get("look").querySelector(".stage").remove(); get("slider").remove(); return; }
  let current = 0, wantLeft = "source", wantRight = null, position = 0.5, doubled = true;
  const source = (image) => "data:image/webp;base64," + image.webp;

  function pick(images, wanted, fallback) {
    return images.find((image) => image.row === wanted) || images[Math.min(fallback, images.length - 1)];
  }
  function fill(select, images, chosen) {
    select.replaceChildren(...images.map((image) => new Option(image.label, image.row, false, image.row === chosen.row)));
  }
  function place() {
    get("over").style.clipPath = "inset(0 " + (100 * (1 - position)) + "% 0 0)";
    get("divider").style.left = 100 * position + "%";
    get("slider").value = String(Math.round(1000 * position));
    get("left-tag").style.opacity = position > 0.12 ? 1 : 0;
    get("right-tag").style.opacity = position < 0.88 ? 1 : 0;
  }
  function show() {
    const shot = shots[current], left = pick(shot.images, wantLeft, 0), right = pick(shot.images, wantRight, 1);
    fill(get("left"), shot.images, left);
    fill(get("right"), shot.images, right);
    const width = shot.box[3] * (doubled ? 2 : 1);
    for (const [id, image] of [["left", left], ["right", right]]) {
      get(id + "-picture").src = source(image);
      get(id + "-picture").style.width = width + "px";
      get(id + "-tag").textContent = image.label + (image.note ? " · " + image.note : "");
    }
    get("caption").textContent = shot.clip + ", frame " + shot.frame + ", about " + shot.target + " bpp, " +
      shot.box[3] + "×" + shot.box[2] + " from (" + shot.box[1] + ", " + shot.box[0] + ")";
    [...get("strip").children].forEach((button, i) => button.classList.toggle("on", i === current));
    get("all").replaceChildren(...shot.images.map((image) => {
      const figure = document.createElement("figure"), picture = new Image(), caption = document.createElement("figcaption");
      picture.src = source(image);
      picture.alt = image.label;
      const dot = document.createElement("span");
      dot.className = "dot";
      dot.style.background = image.row === "source" ? "#1c2330" : data.rows[image.row].colour;
      caption.append(dot, image.label + (image.note ? " · " + image.note : ""));
      figure.append(picture, caption);
      figure.addEventListener("click", () => { wantRight = image.row; show(); });
      return figure;
    }));
    place();
  }
  function go(index) {
    current = (index + shots.length) % shots.length;
    get("strip").children[current].scrollIntoView({ block: "nearest", inline: "nearest" });
    show();
  }
  function flip() { position = position > 0.5 ? 0 : 1; place(); }

  get("strip").replaceChildren(...shots.map((shot, i) => {
    const button = document.createElement("button"), picture = new Image();
    picture.src = source(shot.images[0]);
    picture.alt = "";
    const lines = [shot.clip, "frame " + shot.frame + ", " + shot.target + " bpp"];
    if (shot.score !== null) lines.push("LPIPS " + shot.score.toFixed(3));
    button.append(picture, ...lines.map((text) => {
      const line = document.createElement("span");
      line.textContent = text;
      return line;
    }));
    button.addEventListener("click", () => go(i));
    return button;
  }));
  get("left").addEventListener("change", (event) => { wantLeft = event.target.value; show(); });
  get("right").addEventListener("change", (event) => { wantRight = event.target.value; show(); });
  get("slider").addEventListener("input", (event) => { position = event.target.value / 1000; place(); });
  get("flip").addEventListener("click", flip);
  get("zoom").addEventListener("click", (event) => {
    doubled = !doubled;
    event.target.setAttribute("aria-pressed", String(doubled));
    show();
  });
  const stage = get("stage");
  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    position = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    place();
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); drag(event); });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  document.addEventListener("keydown", (event) => {
    if (/^(INPUT|SELECT|BUTTON)$/.test(event.target.tagName)) return;
    if (event.key === " ") { event.preventDefault(); flip(); }
    if (event.key === "ArrowRight") go(current + 1);
    if (event.key === "ArrowLeft") go(current - 1);
  });
  wantRight = (shots[0].images.find((image) => image.row.endsWith("rendered")) || shots[0].images[1] || shots[0].images[0]).row;
  show();
})();
