/** The start: which page is where. Each is loaded when it is first looked at. */
import { start } from "./router.js";

start({
  "/order": () => import("./pages/order.js"),
  "/datasets": () => import("./pages/datasets.js"),
  "/datasets/:id": () => import("./pages/dataset.js"),
  "/uploads": () => import("./pages/uploads.js"),
  "/uploads/:id": () => import("./pages/upload.js"),
  "/training": () => import("./pages/training.js"),
  "/training/new": () => import("./pages/training-order.js"),
  "/training/:id": () => import("./pages/training-run.js"),
  "/models": () => import("./pages/models.js"),
  "/models/compare": () => import("./pages/compare.js"),
  "/models/:id": () => import("./pages/model.js"),
  "/evaluations": () => import("./pages/evaluations.js"),
  "/evaluations/new": () => import("./pages/evaluation-order.js"),
  "/evaluations/:id": () => import("./pages/evaluation.js"),
  "/usage": () => import("./pages/usage.js"),
}, document.getElementById("main"));
