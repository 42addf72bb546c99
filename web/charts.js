/**
 * Charts on the page: what Python describes, drawn by Chart.js in the page's own type and ink.
 *
 * A chart only repeats what the table beside it says, so it is an image to assistive technology; its label is the
 * figure's title. It is drawn again when the page turns dark or light.
 */

import { library } from "./library.js";

const LIBRARY = new URL("runtime/chartjs/chart.umd.min.js", import.meta.url).href;
const BESIDE = 0.38; // of a chart's width that names beside their bars may take; longer ones stand above them
const LINE = 18; // pixels of a name above a bar
/** @type {Map<string, {spec: Spec, chart: any}>} */
const charts = new Map(); // by the id of their canvas

/**
 * @typedef {{name: string, tone?: string, tones?: string[], index?: number, values: (number | null)[], low?: number[],
 *   high?: number[], texts: string[], points: [number, number, boolean][]}} Series of bars, or of lines its points
 * @typedef {{kind: "bars" | "lines", height: number, unit: string, across: string, stacked?: boolean,
 *   labels: string[], series: Series[], above?: boolean}} Spec labels: of bars only
 * @typedef {ReturnType<typeof style>} Ink
 */

function style() {
  const computed = getComputedStyle(document.documentElement);
  const of = (/** @type {string} */ name) => computed.getPropertyValue(name).trim();
  return { ink: of("--ink"), soft: of("--soft"), rule: of("--rule"), accent: of("--accent"), edge: of("--edge"), paper: of("--paper"), sans: of("--sans") };
}

/** A colour with an alpha of 0 to 1; colours of the page are #rrggbb. @param {string} colour  @param {number} alpha */
const faint = (colour, alpha) => colour + Math.round(alpha * 255).toString(16).padStart(2, "0");

/**
 * Fill and border of a tone: this run is solid, a kept run lighter, what others published only an outline.
 * @param {string | undefined} name  @param {number} index among its kind  @param {Ink} ink
 */
function tone(name, index, ink) {
  if (name === "ours") return [ink.accent, ink.accent];
  if (name === "kept") return [faint(ink.accent, [0.45, 0.28, 0.18, 0.12][Math.min(index, 3)]), ink.accent];
  if (name === "part") return [faint(ink.accent, [1, 0.62, 0.36, 0.18][index % 4]), ink.paper];
  return [faint(ink.soft, 0.08), ink.edge];
}

/** Writes the name of each bar above it. */
const names = {
  id: "names",
  /** @param {any} chart  @param {unknown} _arguments  @param {{spec: Spec, ink: Ink}} options */
  afterDatasetsDraw(chart, _arguments, { spec, ink }) {
    const { ctx, chartArea } = chart;
    ctx.save();
    ctx.font = `12px ${ink.sans}`;
    ctx.textBaseline = "middle";
    for (const [row, bar] of chart.getDatasetMeta(0).data.entries()) {
      const y = bar.y - LINE;
      ctx.fillStyle = ink.paper; // the grid does not run through names
      ctx.fillRect(chartArea.left + 1, y - 7, ctx.measureText(spec.labels[row]).width + 4, 13);
      ctx.fillStyle = ink.ink;
      ctx.fillText(spec.labels[row], chartArea.left, y, chartArea.width);
    }
    ctx.restore();
  },
};

/** Draws what a bar is worth behind its end, and a line from the lowest to the highest run across it. */
const marks = {
  id: "marks",
  /** @param {any} chart  @param {unknown} _arguments  @param {{spec: Spec, ink: Ink}} options */
  afterDatasetsDraw(chart, _arguments, { spec, ink }) {
    const { ctx, scales: { x } } = chart;
    /** @param {number} from  @param {number} to  @param {number} y  @param {string} colour  @param {number[]} ends */
    const line = (from, to, y, colour, ends) => {
      ctx.strokeStyle = colour;
      ctx.beginPath();
      ctx.moveTo(from, y);
      ctx.lineTo(to, y);
      for (const end of ends) {
        ctx.moveTo(end, y - 3);
        ctx.lineTo(end, y + 3);
      }
      ctx.stroke();
    };
    ctx.save();
    ctx.font = `12px ${ink.sans}`;
    ctx.textBaseline = "middle";
    ctx.lineWidth = 1;
    for (const [index, series] of spec.series.entries()) {
      for (const [row, bar] of chart.getDatasetMeta(index).data.entries()) {
        const value = series.values[row];
        if (value === null) continue;
        const low = x.getPixelForValue(series.low?.[row] ?? value), high = x.getPixelForValue(series.high?.[row] ?? value);
        if (high > low) {
          const solid = (series.tones?.[row] ?? series.tone) === "ours";
          line(low, bar.x, bar.y, solid ? ink.paper : ink.ink, [low]); // on the bar
          line(bar.x, high, bar.y, ink.ink, [high]);
        }
        ctx.fillStyle = ink.ink;
        ctx.fillText(series.texts[row], Math.max(bar.x, high) + 6, bar.y);
      }
    }
    ctx.restore();
  },
};

/** @param {Spec} spec  @param {Ink} ink */
function bars(spec, ink) {
  // Room on the right for the last number.
  const highest = Math.max(...spec.series.flatMap(({ values, high }) => values.map((value, row) => Math.max(value ?? 0, high?.[row] ?? 0))));
  const datasets = spec.series.map((series, index) => {
    const tones = spec.labels.map((_, row) => tone(series.tones?.[row] ?? series.tone, series.index ?? index, ink));
    return {
      label: series.name,
      data: series.values,
      backgroundColor: tones.map(([fill]) => fill),
      borderColor: tones.map(([, border]) => border),
      borderWidth: spec.stacked ? { left: 0, right: 1 } : series.tones || series.tone === "published" ? 1 : 0,
      borderSkipped: false,
      barThickness: spec.stacked ? 18 : 16,
    };
  });
  return {
    type: "bar",
    data: { labels: spec.labels, datasets },
    options: {
      indexAxis: "y",
      scales: {
        x: { stacked: spec.stacked, beginAtZero: true, suggestedMax: spec.stacked ? undefined : highest * 1.12, title: { display: !!spec.across, text: spec.across }, grid: { color: ink.rule }, border: { display: false }, ticks: { maxTicksLimit: 6 } },
        y: { stacked: spec.stacked, grid: { display: false }, border: { color: ink.edge }, ticks: { display: !spec.above, color: ink.ink, autoSkip: false } },
      },
    },
  };
}

/** @param {Spec} spec  @param {Ink} ink */
function lines(spec, ink) {
  const shapes = ["circle", "rect", "triangle", "rectRot", "star", "crossRot"]; // not by colour alone
  const datasets = spec.series.map((series, index) => ({
    label: series.name,
    data: series.points.map(([x, y]) => ({ x, y })),
    borderColor: faint(ink.accent, Math.max(0.35, 1 - index * 0.16)),
    backgroundColor: ink.paper,
    borderWidth: 1.25,
    pointStyle: shapes[index % shapes.length],
    pointRadius: 4,
    pointBackgroundColor: series.points.map(([, , marked]) => (marked ? ink.accent : ink.paper)),
    tension: 0,
  }));
  return {
    type: "line",
    data: { datasets },
    options: {
      scales: {
        x: { type: "linear", title: { display: true, text: spec.across }, grid: { display: false }, border: { color: ink.edge }, ticks: { maxTicksLimit: 8 } },
        y: { grace: "10%", title: { display: true, text: spec.unit }, grid: { color: ink.rule }, border: { display: false }, ticks: { maxTicksLimit: 6 } },
      },
    },
  };
}

/** Pixels of the longest of some texts. @param {string[]} texts  @param {string} font */
function widest(texts, font) {
  const context = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  context.font = `12px ${font}`;
  return Math.max(0, ...texts.map((text) => context.measureText(text).width));
}

/** @param {HTMLElement} canvas  @param {Spec} described */
function build(canvas, described) {
  const frame = /** @type {HTMLElement} */ (canvas.parentElement);
  const { Chart } = globalThis, ink = style();
  const above = described.kind === "bars" && widest(described.labels, ink.sans) > BESIDE * frame.clientWidth;
  const spec = { ...described, above, height: described.height + (above ? LINE * described.labels.length + 10 : 0) };
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const { type, data, options } = spec.kind === "lines" ? lines(spec, ink) : bars(spec, ink);
  Object.assign(Chart.defaults, { color: ink.soft, borderColor: ink.rule });
  Object.assign(Chart.defaults.font, { family: ink.sans, size: 12 });
  frame.style.height = `${spec.height}px`;
  const many = spec.series.length > 1;
  return new Chart(canvas, {
    type,
    data,
    plugins: [...(spec.kind === "lines" || spec.stacked ? [] : [marks]), ...(above ? [names] : [])],
    options: {
      ...options,
      animation: still ? false : { duration: 250 },
      maintainAspectRatio: false,
      locale: document.documentElement.lang,
      layout: { padding: { right: 4, top: above ? 10 : 0 } },
      plugins: {
        marks: { spec, ink },
        names: { spec, ink },
        legend: {
          display: many,
          position: "bottom",
          align: "start",
          labels: { boxWidth: spec.kind === "lines" ? 7 : 12, boxHeight: spec.kind === "lines" ? 7 : 12, usePointStyle: spec.kind === "lines", padding: 14 },
        },
        tooltip: {
          displayColors: false,
          callbacks: {
            /** @param {{datasetIndex: number, dataIndex: number, dataset: {label: string}, formattedValue: string}} at */
            label: ({ datasetIndex, dataIndex, dataset, formattedValue }) => {
              const series = spec.series[datasetIndex];
              return `${dataset.label}: ${series.texts?.[dataIndex] ?? `${formattedValue} ${spec.unit}`}`;
            },
          },
        },
      },
    },
  });
}

/**
 * Draw a chart on a canvas, or draw it anew.
 * @param {string} json {id: spec}; a spec is {kind: "bars" | "lines", height, unit, ...}:
 *   bars: labels, stacked, across, series [{name, tone, tones, values, low, high, texts}];
 *   lines: across, series [{name, points [[x, y, marked]]}];
 *   across says what the horizontal axis is
 * @returns {Promise<boolean>} false where the library could not be had
 */
export async function draw(json) {
  /** @type {Record<string, Spec>} */
  const specs = JSON.parse(json);
  for (const [id, { chart }] of charts) {
    if (id in specs || !document.getElementById(id)) {
      chart.destroy();
      charts.delete(id);
    }
  }
  try {
    await library(LIBRARY);
  } catch {
    return false;
  }
  for (const [id, spec] of Object.entries(specs)) {
    const canvas = document.getElementById(id);
    if (canvas) charts.set(id, { spec, chart: build(canvas, spec) });
  }
  return true;
}

new MutationObserver(() => {
  for (const [id, { spec, chart }] of charts) {
    chart.destroy();
    const canvas = document.getElementById(id);
    if (canvas) charts.set(id, { spec, chart: build(canvas, spec) });
    else charts.delete(id);
  }
}).observe(document.documentElement, { attributeFilter: ["data-theme"] }); // of theme.js
