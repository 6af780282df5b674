/** Which curves of a training run are drawn together, and what they tell. */
import { bytes, figure } from "./format.js";

/** Panels of a stage: the names of the metrics, and the hyper-parameter that one is steered to. */
const PANELS = {
  vessel: [
    { title: "Losses", names: ["generator loss", "discriminator loss"], help: "Of both networks. They chase each other: neither falls to zero in a healthy run." },
    { title: "Overfitting signal", names: ["overfitting signal"], target: "augmentation_target", help: "How sure the discriminator is of the real maps. Augmentation is steered to keep it at the target." },
    { title: "Augmentation strength", names: ["augmentation"], help: "Probability of each move that maps go through before they are judged." },
    { title: "Lack of spread", names: ["spread lacking"], target: "collapse_lacking", help: "Near 1, drawn maps are all alike; the run stops if it stays there." },
  ],
  photo: [
    { title: "Losses", names: ["translator loss", "discriminator loss"], help: "Of both networks, adversarial part." },
    { title: "Photographs against real ones", names: ["feature matching", "photo difference"], help: "How far rendered photographs are from the real ones of the same maps. Lower is closer." },
    { title: "Style divergence", names: ["style divergence"], help: "How far style codes are from the noise that orders draw them from." },
  ],
};
const SHARED = [
  { title: "Pace", names: ["images per second"], help: "Images that training goes through in a second." },
  { title: "GPU memory", names: ["peak GPU bytes"], show: bytes },
];
const NOT_CURVES = ["resolution", "seconds left", "images"];

/** The panels for which these lines have values; a metric that none of them names gets its own. */
export function panelsOf(stage, lines, settings) {
  const there = new Set(lines.flatMap((line) => Object.keys(line.values)));
  const named = [...PANELS[stage], ...SHARED];
  const known = new Set([...NOT_CURVES, ...named.flatMap((panel) => panel.names)]);
  const others = [...there].filter((name) => !known.has(name)).map((name) => ({ title: name, names: [name] }));
  return [...named, ...others]
    .filter((panel) => panel.names.some((name) => there.has(name)))
    .map((panel) => {
      const value = settings?.[stage]?.[panel.target];
      return { show: figure, ...panel, target: value === undefined ? null : { value, name: panel.target === "collapse_lacking" ? "stops at" : "target" } };
    });
}

export function curvesOf(panel, lines) {
  return panel.names.map((name) => ({
    name,
    points: lines.filter((line) => Number.isFinite(line.values[name])).map((line) => [line.images, line.values[name]]),
  }));
}
