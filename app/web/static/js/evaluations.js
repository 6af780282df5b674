/** Evaluations in words. */

/** Parts of an evaluation: the pictures themselves, and what segmentation networks are trained on. */
export const PARTS = {
  measures: "Maps and photographs measured, copies searched for",
  real: "Trained on real pairs",
  augmented: "Trained on real pairs, strongly augmented",
  synthetic: "Trained on generated pairs",
  "fine-tuned": "Trained on generated pairs, then on real ones",
  mixed: "Trained on both, mixed",
  "mixed-augmented": "Trained on both, mixed and strongly augmented",
  rendered: "Trained on real maps, photographed by the model",
};

export const NETWORKS = { "u-net": "U-Net", attention: "Attention between two scales" };

/** `fit:real:0` is the first network that is trained on real pairs. */
export function stepText(step) {
  const [kind, part, seed] = step.split(":");
  return kind === "fit" ? `${PARTS[part]}, network ${Number(seed) + 1}` : PARTS[step];
}

export function subjectOf({ model, dataset }) {
  return dataset ? `Data set of ${model}` : model;
}

/** How far it is, in steps: those done, and the shares of those in hand. */
export function stepsOf({ done, current }) {
  return current.reduce((sum, { share }) => sum + share, done);
}
