// Draws and redraws the charts of a page. Plotly's script is loaded when the first chart becomes visible.
// Each chart is a pure function of (data, options) in figures.js.

import * as figures from "./figures.js";
import { toast } from "./toast.js";

let loading = null;

// The Content-Security-Policy forbids scripts to create style elements. Plotly writes its rules into an existing style
// sheet if that has the first id (here the page's own), and does not create the sheet of its map library if an element
// has the second id.
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

// The colour #rrggbb with the given opacity.
const faint = (hex, alpha) => `rgba(${[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",")},${alpha})`;

// The present colours, font and size of the page, as options of a chart.
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
