// Figures for Plotly: each is a pure function of (data, options). Colour scales are explained by legends in the page,
// like those of the tokens.

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

// Number of neurons that two attributions have in common, by layer: the counts as points, the number expected by chance
// as a line, and its 95 % interval as a band.
export function overlapByLayer(data, options) {
  const back = (values) => [...values].reverse();
  const colour = options.series[0];
  return {
    data: [
      { type: "scatter", mode: "lines", x: [...data.layers, ...back(data.layers)], y: [...data.high, ...back(data.low)], fill: "toself", fillcolor: options.faint(colour, 0.16), line: { width: 0 }, hoverinfo: "skip", name: "chance, 95 %" },
      { type: "scatter", mode: "lines", x: data.layers, y: data.expected, line: { color: options.muted, width: 1.5, dash: "dot" }, hoverinfo: "skip", name: "by chance" },
      { type: "scatter", mode: "lines+markers", x: data.layers, y: data.shared, text: data.labels, customdata: data.hrefs, hovertemplate: "%{text}<extra></extra>", line: { color: colour, width: 2 }, marker: { color: colour, size: 9 }, name: "in both" },
    ],
    layout: layout(options, { height: 300, margin: { l: 44, r: 12, t: 30, b: 40 }, ...legend(options), hovermode: "closest", xaxis: { type: "category", showgrid: false }, yaxis: { title: { text: "neurons in both" }, rangemode: "tozero" } }),
  };
}

// Scores of neurons in two attributions; the customdata of a point is the address of its neuron.
export function scorePairs(data, options) {
  const every = [...data.x, ...data.y];
  const [low, high] = [Math.min(...every), Math.max(...every)];
  const room = 0.05 * (high - low || 1);
  const range = [Math.max(0, low - room), high + room];
  return {
    data: [{ type: "scatter", mode: "markers", x: data.x, y: data.y, text: data.labels, customdata: data.hrefs, hovertemplate: "%{text}<extra></extra>", marker: { color: options.series[0], size: 8, opacity: 0.75, line: { width: 1, color: options.surface } } }],
    layout: layout(options, { height: 360, hovermode: "closest", shapes: [{ type: "line", x0: range[0], y0: range[0], x1: range[1], y1: range[1], line: { color: options.muted, width: 1, dash: "dot" }, layer: "below" }], xaxis: { title: { text: data.xTitle }, range }, yaxis: { title: { text: data.yTitle }, range } }),
  };
}

// The bands of the lines between the first and the last one are fainter, because all of them lie over one another.
const bands = (traces, index, data, options) => traces.map((trace) => (trace.fill && index && index < data.series.length - 1 ? { ...trace, fillcolor: options.faint(look(options, index).colour, 0.05) } : trace));

// What the best k neurons of each ranking restore, with the intervals as bands; the number of neurons on a logarithmic
// axis.
export function restoredCurves(data, options) {
  const every = data.series.flatMap((series) => [...series.values, ...series.low, ...series.high]);
  const counts = [...new Set(data.series.flatMap((series) => series.x))].sort((a, b) => a - b);
  return {
    data: data.series.flatMap((series, index) => bands(lineTraces({ numeric: true, x: series.x }, options, { dense: null, apart: [], hrefs: [], ...series }, index), index, data, options)),
    layout: layout(options, { height: options.narrow ? 400 : 420, margin: { l: 48, r: 12, t: 30, b: 44 }, ...legend(options), hovermode: "closest",
      shapes: shapes([{ y: 0, line: { color: options.muted, width: 1 } }]),
      xaxis: { title: { text: data.xTitle }, type: "log", tickvals: counts, ticktext: counts.map((count) => count.toLocaleString("en")), tickangle: options.narrow ? -45 : 0, showgrid: false },
      yaxis: { title: { text: data.yTitle }, ticksuffix: data.suffix, ...fitted(data, every) } }),
  };
}

// Each series of a study's chart has its own colour, marker and dash, so that colour is not the only difference.
const MARKS = ["circle", "diamond", "square", "triangle-up", "cross", "star", "triangle-down", "hexagon"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const look = (options, index) => ({ colour: options.series[index % options.series.length], mark: MARKS[index % MARKS.length], dash: DASHES[index % DASHES.length] });

// The points of a series that its line connects; on a numeric axis sorted by x, with the dense model at 0.
function onLine(data, series) {
  const points = series.values.map((y, index) => ({ x: data.x[index], y, low: series.low[index], high: series.high[index], label: series.labels[index], href: series.hrefs[index] }))
    .filter((point, index) => point.y !== null && !series.apart[index]);
  if (!data.numeric) return points;
  if (series.dense !== null) points.push({ x: 0, y: series.dense, low: series.dense, high: series.dense, label: `${series.name} · dense`, href: null });
  return points.sort((a, b) => a.x - b.x);
}

// The traces of one series: its line, the band of the intervals, and the points that do not belong to the line.
function lineTraces(data, options, series, index, more = {}) {
  const { colour, mark, dash } = look(options, index);
  const points = onLine(data, series);
  const banded = points.filter((point) => point.low !== null && point.high !== null);
  const traces = [];
  if (banded.length > 1) {
    traces.push({ type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, legendgroup: series.name, fill: "toself", fillcolor: options.faint(colour, 0.14), line: { width: 0 },
      x: [...banded.map((point) => point.x), ...banded.map((point) => point.x).reverse()], y: [...banded.map((point) => point.high), ...banded.map((point) => point.low).reverse()], ...more });
  }
  const told = (some) => ({ x: some.map((point) => point.x), y: some.map((point) => point.y), text: some.map((point) => point.label), customdata: some.map((point) => point.href), hovertemplate: "%{text}<extra></extra>" });
  traces.push({ type: "scatter", mode: "lines+markers", name: series.name, legendgroup: series.name, line: { color: colour, width: 2, dash }, marker: { color: colour, size: 8, symbol: mark }, ...told(points), ...more });
  const apart = series.values.map((y, place) => ({ x: data.x[place], y, label: series.labels[place], href: series.hrefs[place] })).filter((point, place) => point.y !== null && series.apart[place]);
  if (apart.length) traces.push({ type: "scatter", mode: "markers", showlegend: false, legendgroup: series.name, marker: { color: colour, size: 10, symbol: `${mark}-open`, line: { width: 2 } }, ...told(apart), ...more });
  return traces;
}

// Horizontal lines for the dense model's value and for chance; each only if it is the same in all series.
function levels(data, options, axis = {}) {
  const shared = (name) => { const known = new Set(data.series.map((series) => series[name]).filter((value) => value !== null)); return known.size === 1 ? [...known][0] : null; };
  return [["dense", "dash"], ["chance", "dot"]].flatMap(([name, dash]) => {
    const y = shared(name);
    if (y === null) return [];
    return [{ line: { color: options.muted, width: 1.5, dash }, y, name, ...axis }];
  });
}

const shapes = (found, xref = "paper", yref = "y") => found.map(({ line, y }) => ({ type: "line", xref, yref, x0: 0, x1: 1, y0: y, y1: y, line, layer: "below" }));
// On a logarithmic axis, Plotly expects the value for the position of a shape, but its logarithm for an annotation.
const signs = (found, options, logarithmic) => found.map(({ y, name }) => ({ xref: "paper", yref: "y", x: 1, y: logarithmic ? Math.log10(y) : y, text: name, showarrow: false, xanchor: "right", yanchor: "bottom", font: { size: 11, color: options.muted } }));

function under(data, options) {
  const title = { text: data.xTitle };
  if (data.numeric) return { title, ...fitted({}, [...data.x, ...(dense(data).some((y) => y !== null) ? [0] : [])]), showgrid: false };
  return { title, type: "category", categoryorder: "array", categoryarray: data.x, showgrid: false, tickangle: options.narrow ? -35 : 0 };
}

const legend = (options) => ({ showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12, color: options.ink } } });

// The range of an axis contains all that is drawn (on the y axis also intervals and horizontal lines), with a margin.
// For a logarithmic axis, Plotly expects the range in logarithms.
const ROOM = 0.06;
const ends = (data) => data.series.flatMap((series) => [...series.values, ...series.low, ...series.high]);
const dense = (data) => data.series.map((series) => series.dense);

function fitted(data, drawn) {
  const every = drawn.filter((value) => value !== null && (!data.logarithmic || value > 0)).map((value) => (data.logarithmic ? Math.log10(value) : value));
  if (!every.length) return {};
  const [low, high] = [Math.min(...every), Math.max(...every)];
  const room = ROOM * (high - low || 1);
  return { range: [low - room, high + room] };
}

const beside = (data, drawn) => ({ title: { text: data.yTitle }, ...(data.logarithmic && { type: "log" }), ...fitted(data, drawn) });

// Accuracy or perplexity over sparsity or window length, one line for each series.
export function studyLines(data, options) {
  const found = levels(data, options);
  const drawn = [...ends(data), ...(data.numeric ? dense(data) : []), ...found.map(({ y }) => y)];
  return {
    data: data.series.flatMap((series, index) => lineTraces(data, options, series, index)),
    layout: layout(options, { height: options.narrow ? 380 : 420, margin: { l: 48, r: 12, t: 30, b: 44 }, ...legend(options), shapes: shapes(found), annotations: signs(found, options, data.logarithmic), hovermode: "closest", xaxis: under(data, options), yaxis: beside(data, drawn) }),
  };
}

// The same as studyLines, with one panel for each series; all panels have the same y range.
export function studyPanels(data, options) {
  const across = options.narrow ? 2 : Math.min(4, data.series.length);
  const down = Math.ceil(data.series.length / across);
  const height = 150 * down + 70;
  const gap = { x: options.narrow ? 0.06 : 0.035, y: 46 / height };
  const traces = [];
  const made = { shapes: [], annotations: [] };
  const { range } = fitted(data, [...ends(data), ...dense(data), ...data.series.map((series) => series.chance)]);
  data.series.forEach((series, index) => {
    const [column, row] = [index % across, Math.floor(index / across)];
    const [wide, high] = [(1 - gap.x * (across - 1)) / across, (1 - gap.y * (down - 1)) / down];
    const id = index === 0 ? "" : String(index + 1);
    const x = [column * (wide + gap.x), column * (wide + gap.x) + wide];
    const top = 1 - row * (high + gap.y);
    const base = layout(options, { xaxis: under(data, options), yaxis: {} });
    made[`xaxis${id}`] = { ...base.xaxis, title: row === down - 1 || index + across >= data.series.length ? base.xaxis.title : undefined, domain: x, anchor: `y${id}`, nticks: 4 };
    made[`yaxis${id}`] = { ...base.yaxis, ...(data.logarithmic && { type: "log" }), domain: [Math.max(0, top - high), top], anchor: `x${id}`, range, nticks: 4, showticklabels: column === 0 };
    traces.push(...lineTraces(data, options, series, 0, { xaxis: `x${id}`, yaxis: `y${id}`, showlegend: false }));
    const found = levels({ ...data, series: [series] }, options);
    made.shapes.push(...shapes(found, `x${id} domain`, `y${id}`));
    made.annotations.push({ xref: `x${id} domain`, yref: `y${id} domain`, x: 0, y: 1, yanchor: "bottom", xanchor: "left", text: series.name, showarrow: false, font: { size: 12, color: options.ink } });
  });
  return { data: traces, layout: { ...layout(options, { height, margin: { l: 44, r: 8, t: 24, b: 46 }, hovermode: "closest", xaxis: {}, yaxis: {} }), ...made, showlegend: false } };
}

// Accuracy or perplexity for each calibration set: one marker with its interval for each method or group of tasks, side
// by side.
export function studyMarks(data, options) {
  const found = levels(data, options);
  const spread = Math.min(0.7, 0.16 * data.series.length);
  const place = (index) => (data.series.length > 1 ? spread * (index / (data.series.length - 1) - 0.5) : 0);
  const traces = data.series.map((series, index) => {
    const { colour, mark } = look(options, index);
    const known = series.values.map((_, at) => at).filter((at) => series.values[at] !== null);
    const pick = (name) => known.map((at) => series[name][at]);
    const bars = known.some((at) => series.low[at] !== null);
    return {
      type: "scatter", mode: "markers", name: series.name, x: known.map((at) => at + place(index)), y: pick("values"), text: pick("labels"), customdata: pick("hrefs"), hovertemplate: "%{text}<extra></extra>",
      marker: { color: colour, size: 10, symbol: mark },
      ...(bars && { error_y: { type: "data", symmetric: false, array: known.map((at) => (series.high[at] ?? series.values[at]) - series.values[at]), arrayminus: known.map((at) => series.values[at] - (series.low[at] ?? series.values[at])), color: colour, thickness: 1.5, width: 3 } }),
    };
  });
  const xaxis = { title: { text: data.xTitle }, tickvals: data.x.map((_, at) => at), ticktext: data.x, range: [-0.6, data.x.length - 0.4], showgrid: false, tickangle: options.narrow ? -45 : 0 };
  const between = data.x.slice(1).map((_, at) => ({ type: "line", xref: "x", yref: "paper", x0: at + 0.5, x1: at + 0.5, y0: 0, y1: 1, line: { color: options.line, width: 1 }, layer: "below" }));
  return {
    data: traces,
    layout: layout(options, { height: options.narrow ? 400 : 420, margin: { l: 48, r: 12, t: 30, b: 44 }, ...legend(options), shapes: [...between, ...shapes(found)], annotations: signs(found, options, data.logarithmic), hovermode: "closest", xaxis, yaxis: beside(data, [...ends(data), ...found.map(({ y }) => y)]) }),
  };
}
