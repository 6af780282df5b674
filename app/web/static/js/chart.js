/** Curves over the images seen, as an SVG that follows the width of its place. */
import { fill, h, svg } from "./dom.js";
import { figure, integer } from "./format.js";

const HEIGHT = 190;
const EDGE = { left: 46, right: 10, top: 10, bottom: 22 };
const MOST_POINTS = 500; // of a curve; more are averaged, since a screen has no more columns

/**
 * A panel of curves. `target` is a value that is steered to, with its `name`.
 * Returns the element and `draw(curves)`, where curves are `{name, points: [[x, y], ...]}`.
 */
export function chart({ title, help, target = null, show = figure }) {
  const legend = h("ul", { class: "legend" });
  const drawing = svg("svg", { height: HEIGHT, "aria-hidden": "true" });
  const plot = h("div", { class: "plot", tabindex: "0", role: "img" }, drawing);
  const element = h("figure", { class: "card chart" },
    h("figcaption", {}, h("h3", {}, title), help && h("p", { class: "small soft" }, help)), plot, legend);
  let curves = [];
  let at = null; // the image count that is pointed at

  function redraw() {
    const width = plot.clientWidth;
    if (!width || !curves.length) return;
    const scale = scales(curves, target, width);
    drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    fill(drawing,
      grid(scale, width, show),
      target && svg("line", { class: "target", x1: EDGE.left, x2: width - EDGE.right, y1: scale.y(target.value), y2: scale.y(target.value) }),
      curves.map((curve, number) => line(thin(curve.points), scale, number)),
      at !== null && svg("line", { class: "pointer", x1: scale.x(at), x2: scale.x(at), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }));
    tell();
  }

  function tell() {
    const values = curves.map((curve) => nearest(curve.points, at ?? Infinity));
    fill(legend, curves.map((curve, number) => h("li", { class: `curve-${number + 1}` }, curve.name, " ", h("b", {}, show(values[number][1])))),
      target && h("li", { class: "aim" }, target.name, " ", h("b", {}, show(target.value))),
      h("li", { class: "where" }, `at ${integer(values[0][0])} images`));
    plot.setAttribute("aria-label", `${title}: ${curves.map((curve, number) => `${curve.name} ${show(values[number][1])}`).join(", ")} at ${integer(values[0][0])} images`);
  }

  plot.addEventListener("pointermove", (event) => {
    const scale = scales(curves, target, plot.clientWidth);
    at = nearest(curves[0].points, scale.back(event.clientX - plot.getBoundingClientRect().left))[0];
    redraw();
  });
  plot.addEventListener("pointerleave", () => { at = null; redraw(); });
  plot.addEventListener("blur", () => { at = null; redraw(); });
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const xs = curves[0].points.map(([x]) => x);
    const place = at === null ? xs.length - 1 : xs.indexOf(at) + step;
    at = xs[Math.max(0, Math.min(xs.length - 1, place))];
    redraw();
  });
  new ResizeObserver(redraw).observe(plot);
  return { element, draw(now) { curves = now.filter((curve) => curve.points.length); redraw(); } };
}

function scales(curves, target, width) {
  const points = curves.flatMap((curve) => curve.points);
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y).concat(target ? [target.value] : []);
  const [x0, x1] = [low(xs), high(xs)];
  let [y0, y1] = [low(ys), high(ys)];
  const room = (y1 - y0 || Math.abs(y1) || 1) * 0.06;
  [y0, y1] = [y0 - room, y1 + room];
  const wide = width - EDGE.left - EDGE.right;
  const tall = HEIGHT - EDGE.top - EDGE.bottom;
  return {
    x0, x1, y0, y1,
    x: (value) => EDGE.left + (wide * (value - x0)) / (x1 - x0 || 1),
    y: (value) => EDGE.top + tall * (1 - (value - y0) / (y1 - y0)),
    back: (place) => x0 + ((place - EDGE.left) / wide) * (x1 - x0),
  };
}

// Not Math.min(...list): a long list is too many arguments.
const low = (numbers) => numbers.reduce((one, other) => Math.min(one, other), Infinity);
const high = (numbers) => numbers.reduce((one, other) => Math.max(one, other), -Infinity);

function grid(scale, width, show) {
  const bottom = HEIGHT - EDGE.bottom;
  return svg("g", { class: "grid" },
    ticks(scale.y0, scale.y1, 4).map((value) => [
      svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: scale.y(value), y2: scale.y(value) }),
      svg("text", { x: EDGE.left - 8, y: scale.y(value) + 4, "text-anchor": "end" }, show(value)),
    ]),
    ticks(scale.x0, scale.x1, Math.max(3, Math.floor(width / 110))).map((value) =>
      svg("text", { x: scale.x(value), y: bottom + 17, "text-anchor": scale.x(value) > width - 30 ? "end" : "middle" }, short(value))));
}

function short(number) {
  if (number >= 1e6) return `${figure(number / 1e6)}M`;
  return number >= 1e4 ? `${figure(number / 1e3)}k` : integer(Math.round(number));
}

/** About `wanted` round values from `from` to `to`. */
function ticks(from, to, wanted) {
  if (!(to > from)) return [from];
  const rough = (to - from) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const found = [];
  for (let value = Math.ceil(from / step) * step; value <= to; value += step) found.push(Math.abs(value) < step / 1e6 ? 0 : value);
  return found;
}

function line(points, scale, number) {
  if (points.length === 1) return svg("circle", { class: `curve-${number + 1}`, cx: scale.x(points[0][0]), cy: scale.y(points[0][1]), r: 3 });
  const path = points.map(([x, y], place) => `${place ? "L" : "M"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`);
  return svg("path", { class: `curve-${number + 1}`, d: path.join("") });
}

function thin(points) {
  const size = Math.ceil(points.length / MOST_POINTS);
  if (size < 2) return points;
  const thinned = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    thinned.push([part.at(-1)[0], part.reduce((sum, [, y]) => sum + y, 0) / part.length]);
  }
  return thinned;
}

function nearest(points, x) {
  return points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best), points.at(-1));
}
