/** What happens when a form that orders something is submitted. */
import { post } from "./api.js";
import { fill } from "./dom.js";
import { complain, showErrors } from "./field.js";

/**
 * Posts `order()` to `path` and goes to `page` of the job that comes of it. What is wrong is said at its
 * field, or in the element `wrong` if it belongs to none.
 */
export function sendOnSubmit(form, { path, page, order, button, wrong }) {
  // One key for one order: pressed again after a lost answer, it is not made twice.
  let key = crypto.randomUUID?.();
  form.addEventListener("input", () => { key = crypto.randomUUID?.(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    fill(wrong);
    try {
      const made = await post(path, order(), { headers: key ? { "Idempotency-Key": key } : {} });
      location.hash = `#/${page}/${made.id}`;
    } catch (error) {
      complain(wrong, showErrors(form, error, true));
    } finally {
      button.disabled = false;
    }
  });
}
