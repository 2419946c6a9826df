// Figures for Plotly: each is a pure function of (data, options). Their scales stand in the page, as legends like those of the tokens.

function layout(options, more) {
  const axis = { color: options.muted, gridcolor: options.line, zeroline: false, linecolor: options.line, tickfont: { size: 12 }, fixedrange: true, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: options.font, color: options.ink, size: 13 },
    margin: { l: 44, r: 12, t: 8, b: 40 },
    height: 320,
    hoverlabel: { bgcolor: options.ink, font: { color: options.surface, size: 12.5 }, bordercolor: options.ink },
    ...more,
    xaxis: { ...axis, ...named(more.xaxis, options) },
    yaxis: { ...axis, ...named(more.yaxis, options) },
  };
}

const named = (axis, options) => (axis.title ? { ...axis, title: { ...axis.title, font: { size: 12, color: options.muted }, standoff: 8 } } : axis);

// Layer x rank, shade by Score; a point's customdata is its neuron's address.
export function rankMap(data, options) {
  return {
    data: [{
      type: "heatmap", x: data.ranks, y: data.layers, z: data.scores, customdata: data.hrefs, text: data.labels, hovertemplate: "%{text}<extra></extra>",
      colorscale: [[0, options.rgb("heat", 0.03)], [1, options.rgb("heat", 1)]], xgap: 2, ygap: 2, hoverongaps: false, showscale: false,
    }],
    layout: layout(options, { height: Math.max(220, Math.min(640, 90 + 26 * data.layers.length)), xaxis: { title: { text: "rank within the layer" }, showgrid: false, dtick: data.ranks.length > 10 ? 5 : 1 }, yaxis: { type: "category", showgrid: false } }),
  };
}

// How many neurons lost how much.
export function histogram(data, options) {
  return {
    data: [{ type: "histogram", x: data.values.map((drop) => -100 * Math.max(-1, drop)), xbins: { start: -100, end: 100, size: 10 }, marker: { color: options.rgb("loss", 0.75), line: { width: 1, color: options.surface } }, hovertemplate: "%{x} %: %{y} neurons<extra></extra>" }],
    layout: layout(options, { xaxis: { title: { text: data.title }, ticksuffix: " %", range: [-105, 105], showgrid: false }, yaxis: { title: { text: "neurons" } }, bargap: 0.02 }),
  };
}

// Layers x matrices: relative error or sparsity, a single hue each.
export function matrixMap(data, options) {
  return {
    data: [{
      type: "heatmap", x: data.matrices, y: data.layers, z: data.values, text: data.labels, hovertemplate: "%{text}<extra></extra>", hoverongaps: false,
      colorscale: [[0, options.rgb(data.hue, 0.03)], [1, options.rgb(data.hue, 0.9)]], zmin: data.low, zmax: data.high, xgap: 2, ygap: 2, showscale: false,
    }],
    layout: layout(options, { height: Math.max(220, Math.min(900, 100 + 24 * data.layers.length)), xaxis: { type: "category", tickangle: options.narrow ? -35 : 0, showgrid: false }, yaxis: { title: { text: "layer" }, type: "category", autorange: "reversed", showgrid: false } }),
  };
}

// A study's table: accuracy minus dense, loss in orange.
export function studyHeat(data, options) {
  const end = Math.max(1, data.largest);
  return {
    data: [{
      type: "heatmap", x: data.columns, y: data.rows, z: data.difference, text: data.labels, customdata: data.hrefs, hovertemplate: "%{text}<extra></extra>", hoverongaps: false, zmin: -end, zmax: end,
      colorscale: [[0, options.rgb("loss", 0.9)], [0.5, options.rgb("loss", 0)], [0.5, options.rgb("gain", 0)], [1, options.rgb("gain", 0.9)]], xgap: 2, ygap: 2, showscale: false,
    }],
    layout: layout(options, { height: Math.max(220, 120 + 30 * data.rows.length), xaxis: { type: "category", showgrid: false }, yaxis: { type: "category", autorange: "reversed", showgrid: false } }),
  };
}
