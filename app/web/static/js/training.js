/** Training runs in words. */
import { count, duration } from "./format.js";

export const STAGES = { both: "both stages", vessel: "vessel maps only", photo: "photographs only" };
export const STAGE = { vessel: "Stage one: vessel maps", photo: "Stage two: photographs" };

export function budgetText({ minutes, images }) {
  return images ? `${count(images, "image")} a stage` : `${duration(60 * minutes)} a stage`;
}

/** How far one stage is, 0 to 1. */
export function shareOfStage(stage) {
  const share = stage.of_images ? stage.images / stage.of_images : stage.minutes / stage.of_minutes;
  return Math.min(1, share);
}

/** How far the run is, 0 to 1. */
export function shareOf(run) {
  const stages = run.progress.stages;
  if (run.status === "succeeded") return 1;
  return stages.reduce((sum, stage) => sum + shareOfStage(stage), 0) / stages.length;
}
