// Charts, drawn when their page has any: Plotly's script is loaded once, on the first one that is seen.
// What a chart looks like is a pure function of (data, options) in figures.js; this module only finds, draws and redraws them.

import * as figures from "./figures.js";
import { toast } from "./toast.js";

let loading = null;

// The Content-Security-Policy forbids style elements made by scripts. Plotly writes its rules into the sheet with the first id where
// there is one (this page's own), and leaves out its map library's sheet where the second id is taken.
const RULES_OF_PLOTLY = "plotly.js-style-global";
const SHEET_OF_MAPS = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";

function plotly(address) {
  loading ??= new Promise((resolve, reject) => {
    document.querySelector("link[rel=stylesheet]").id = RULES_OF_PLOTLY;
    document.head.append(Object.assign(document.createElement("meta"), { id: SHEET_OF_MAPS }));
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("Plotly's script cannot be loaded"));
    document.head.append(script);
  });
  return loading;
}

async function draw(box) {
  const Plotly = await plotly(box.dataset.plotly);
  const data = JSON.parse(document.getElementById(box.dataset.source).textContent);
  const figure = figures[box.dataset.chart](data, options(box));
  box.replaceChildren();
  box.classList.add("drawn");
  await Plotly.newPlot(box, figure.data, figure.layout, { responsive: true, displaylogo: false, displayModeBar: false });
  box.on("plotly_click", (event) => {
    const href = event.points[0]?.customdata;
    if (href) location.assign(href);
  });
}

const SERIES = ["series-1", "series-2", "series-3", "series-4", "series-5", "series-6", "series-7", "series-8"];

// #rrggbb with some transparency.
const faint = (hex, alpha) => `rgba(${[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",")},${alpha})`;

// Colours and sizes as the page has them now.
function options(box) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const rgb = (name, alpha) => `rgba(${colour(name).split(/\s+/).join(",")},${alpha})`;
  return { ink: colour("ink"), muted: colour("muted"), line: colour("line"), surface: colour("surface"), rgb, series: SERIES.map(colour), faint, font: getComputedStyle(document.body).fontFamily, narrow: box.clientWidth < 520 };
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    draw(entry.target).catch((error) => {
      entry.target.classList.add("undrawn");
      toast(error.message);
    });
  }
}, { rootMargin: "200px" });

function start() {
  for (const box of document.querySelectorAll("[data-chart]")) seen.observe(box);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", start);
document.addEventListener("swapped", start);
start();
