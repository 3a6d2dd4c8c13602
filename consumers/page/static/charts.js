// The charts: what each draws, and the loop that asks for new figures. Times are UTC.
"use strict";

(() => {
  const EVERY_MS = 2000;
  const FONT = '11px "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif';
  const DAY_S = 86400;

  // What is stacked is listed from top to bottom. A mark is an area or bars; a line may be dashed.
  const CHARTS = {
    rate: { height: 132, lines: [{ key: "all", label: "decisions/s", color: "accent", area: true }] },
    latency: {
      height: 104,
      lines: [
        { key: "p50", label: "p50 ms", color: "accent" },
        { key: "p99", label: "p99 ms", color: "review", dash: [5, 3] },
      ],
    },
    actions: {
      height: 214,
      stack: [
        { key: "invalid", label: "invalid", color: "invalid" },
        { key: "step_up", label: "step-up", color: "step_up" },
        { key: "review", label: "review", color: "review" },
        { key: "block", label: "block", color: "block" },
      ],
      lines: [],
    },
    caught: {
      height: 300,
      stack: [
        { key: "missed", label: "missed", color: "block" },
        { key: "caught", label: "caught", color: "approve" },
      ],
      lines: [
        { key: "false_alarms", label: "false alarms", color: "review", dash: [2, 3] },
        { key: "share", label: "% caught", color: "accent", scale: "percent" },
      ],
    },
  };

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name.replace("_", "-")}`).trim();
  const two = (value) => String(value).padStart(2, "0");
  const round = (value) => (value == null ? "—" : Number(value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)).toString());

  function timeText(seconds, stepSeconds) {
    const at = new Date(seconds * 1000);
    const day = `${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
    const time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    if (stepSeconds >= DAY_S) return day;
    if (stepSeconds >= DAY_S / 4) return `${day} ${time}`;
    return stepSeconds >= 60 ? time : `${time}:${two(at.getUTCSeconds())}`;
  }

  // Each series of a stack is drawn from zero up to the sum of itself and all below it, the highest one first.
  function columns(spec, figures) {
    const stack = spec.stack ?? [];
    const sums = stack.map((_, from) => figures.t.map((_, at) => {
      const parts = stack.slice(from).map((one) => figures[one.key][at]);
      return parts.reduce((sum, part) => sum + part, 0);
    }));
    return [figures.t, ...sums, ...spec.lines.map((line) => figures[line.key])];
  }

  function series(spec, chart) {
    // Under the pointer, or else the newest.
    const raw = (key) => (_, __, ___, at) => round(chart.figures[key].at(at ?? -1));
    const bars = uPlot.paths.bars({ size: [0.84, 60], align: 1 });
    const stacked = (spec.stack ?? []).map(({ key, label, color: name }) => ({
      label, stroke: color(name), fill: color(name), width: 0, paths: bars, points: { show: false }, value: raw(key),
    }));
    const lines = spec.lines.map(({ key, label, color: name, area, dash, scale }) => ({
      label, dash, scale: scale ?? "y", stroke: color(name), width: 1.75, spanGaps: true, value: raw(key),
      fill: area ? color("accent-soft") : undefined,
      points: { show: scale === "percent", size: 5, fill: color("panel") },
    }));
    const time = { label: "UTC", value: (_, __, ___, at) => timeText(chart.figures.t.at(at ?? -1), 1) };
    return [time, ...stacked, ...lines];
  }

  function options(spec, chart, width) {
    const axis = { stroke: color("muted"), font: FONT, ticks: { stroke: color("line"), size: 4 } };
    const grid = { stroke: color("grid"), width: 1 };
    const percent = spec.lines.some((line) => line.scale === "percent");
    return {
      width,
      height: spec.height,
      series: series(spec, chart),
      padding: [8, percent ? 0 : 8, 0, 0],
      legend: { live: true },
      cursor: { sync: { key: chart.source, setSeries: false }, drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: { time: true, range: (_, low, high) => [low, high + chart.figures.step] },
        y: { range: (_, low, high) => [0, Math.max(high * 1.08, 0.5)] },
        ...(percent && { percent: { range: [0, 104] } }),
      },
      axes: [
        { ...axis, grid: { show: false }, size: 24, gap: 2, space: 70,
          values: (_, splits, __, ___, step) => splits.map((at) => timeText(at, step)) },
        { ...axis, grid, size: 44, gap: 3, space: 26, values: (_, splits) => splits.map(round) },
        ...(percent ? [{ ...axis, scale: "percent", side: 1, grid: { show: false }, size: 46, gap: 3, space: 26,
          values: (_, splits) => splits.map((value) => `${value} %`) }] : []),
      ],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    };
  }

  const charts = [...document.querySelectorAll("figure.chart")].map((figure) => ({
    figure,
    place: figure.querySelector(".plot"),
    source: figure.dataset.source,
    spec: CHARTS[figure.dataset.chart],
    figures: null,
    plot: null,
  }));

  function draw(chart, figures) {
    const known = figures !== null && chart.spec.lines.every((line) => figures[line.key]);
    chart.figure.hidden = !known;
    if (!known) return;
    chart.figures = figures;
    if (chart.plot) chart.plot.setData(columns(chart.spec, figures));
    else chart.plot = new uPlot(options(chart.spec, chart, chart.place.clientWidth), columns(chart.spec, figures), chart.place);
  }

  function drawAgain() {
    for (const chart of charts) {
      if (!chart.plot) continue;
      chart.plot.destroy();
      chart.plot = null;
      draw(chart, chart.figures);
    }
  }

  async function ask(source) {
    const answer = await fetch(`/charts/${source}.json`);
    if (!answer.ok) return;
    const figures = await answer.json();
    for (const chart of charts) if (chart.source === source) draw(chart, figures);
  }

  async function askAll() {
    try {
      if (!document.hidden) await Promise.all([...new Set(charts.map((chart) => chart.source))].map(ask));
    } catch {
      // The server is away: the panels say so, and the charts stay as they are until it answers again.
    }
    setTimeout(askAll, EVERY_MS);
  }

  new ResizeObserver(() => {
    for (const { plot, place, spec } of charts) {
      if (plot && place.clientWidth && place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: spec.height });
    }
  }).observe(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
  askAll();
})();
