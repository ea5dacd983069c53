// A dashboard's JSON and its panels' data, drawn with Grafana's own components: window.SHOWN comes from dashboard_pictures.py.
import "@fontsource/inter/latin-400.css";
import "@fontsource/inter/latin-500.css";
import {
  createTheme,
  dateTime,
  FieldType,
  getDisplayProcessor,
  standardTransformers,
  ThemeContext,
  toDataFrame,
} from "@grafana/data";
import { GlobalStyles, PanelChrome, PanelContextProvider, TimeSeries } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import { createRoot } from "react-dom/client";
import { of } from "rxjs";
import "uplot/dist/uPlot.min.css";

const { dashboard, data, range, mode } = window.SHOWN;
const theme = createTheme({ colors: { mode }, typography: { fontFamily: "Inter, sans-serif" } });
const CELL = 38, GAP = 8, COLUMN = (1440 - GAP) / 24;
const TRANSFORMERS = { merge: "mergeTransformer", sortBy: "sortByTransformer", organize: "organizeFieldsTransformer" };

const matches = ({ id, options }, field, frame) =>
  id === "byName" ? (field.config.displayName ?? field.name) === options : id === "byFrameRefID" && frame.refId === options;

function configured(panel, frame, first) {
  frame.fields.forEach((field, index) => {
    if (field.type === FieldType.time) {
      field.display = getDisplayProcessor({ field, theme, timeZone: "utc" });
      return;
    }
    const config = structuredClone(panel.fieldConfig.defaults);
    config.color = { mode: panel.type === "table" ? "thresholds" : "palette-classic" };
    if (field.type === FieldType.string) delete config.unit;
    for (const { matcher, properties } of panel.fieldConfig.overrides)
      if (matches(matcher, field, frame))
        for (const { id, value } of properties)
          id.startsWith("custom.") ? (config.custom = { ...config.custom, [id.slice(7)]: value }) : (config[id] = value);
    const { displayName, displayNameFromDS } = field.config;
    field.config = { ...config, displayName, displayNameFromDS };
    field.state = { ...field.state, seriesIndex: first + index - 1 };
    field.display = getDisplayProcessor({ field, theme, timeZone: "utc" });
  });
  return frame;
}

function transformed(panel, frames) {
  let found = frames;
  for (const { id, options } of panel.transformations ?? [])
    standardTransformers[TRANSFORMERS[id]]
      .operator(options, { interpolate: (text) => text })(of(found))
      .subscribe((next) => (found = next));
  return found;
}

function Content({ panel, width, height }) {
  const frames = transformed(panel, data[panel.id].map((frame) => toDataFrame(frame)));
  if (!frames.some((frame) => frame.length))
    return <div style={{ display: "grid", placeItems: "center", height }}>{panel.fieldConfig.defaults.noValue ?? "No data"}</div>;
  frames.forEach((frame, index) => configured(panel, frame, index));
  if (panel.type === "table")
    return <TableNG data={frames[0]} width={width} height={height} fieldConfig={{ defaults: {}, overrides: [] }} />;
  const timeRange = { from: dateTime(range[0]), to: dateTime(range[1]), raw: { from: dateTime(range[0]), to: dateTime(range[1]) } };
  return (
    <TimeSeries frames={frames} width={width} height={height} timeRange={timeRange} timeZone="utc"
      legend={{ ...panel.options.legend, calcs: [] }} options={panel.options} />
  );
}

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const width = w * COLUMN - GAP, height = h * CELL - GAP;
  return (
    <div style={{ position: "absolute", left: GAP + x * COLUMN, top: 48 + y * CELL, width, height }}>
      <PanelChrome title={panel.title.replace("$baseline", window.SHOWN.baseline)} description={panel.description} width={width} height={height}>
        {(innerWidth, innerHeight) => <Content panel={panel} width={innerWidth} height={innerHeight} />}
      </PanelChrome>
    </div>
  );
}

await document.fonts.load("12px Inter"); // axes are as wide as their labels are by then
document.body.style.background = theme.colors.background.canvas;
createRoot(document.getElementById("root")).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles isExtensionPointSafe hackNoBackdropBlur />
    <PanelContextProvider value={{ eventsScope: "", eventBus: { getStream: () => of(), publish() {}, subscribe: () => ({ unsubscribe() {} }), removeAllListeners() {}, newScopedBus() {} } }}>
      <div style={{ color: theme.colors.text.primary, font: `500 18px Inter, sans-serif`, padding: "14px 10px" }}>{dashboard.title}</div>
      {dashboard.panels.map((panel) => <Panel key={panel.id} panel={panel} />)}
    </PanelContextProvider>
  </ThemeContext.Provider>,
);
