"use strict";
(() => {
  const get = (id) => document.getElementById(id);

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
})();
