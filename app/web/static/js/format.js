/** Numbers, times and sizes in plain words. */

const whole = new Intl.NumberFormat("en");
const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

export function count(number, noun) {
  return `${whole.format(number)} ${noun}${number === 1 ? "" : "s"}`;
}

export function integer(number) {
  return whole.format(number);
}

/** To three digits or so: 0.00123, 12.3, 1,230. */
export function figure(number) {
  if (typeof number !== "number") return "–";
  if (number !== 0 && Math.abs(number) < 0.001) return number.toExponential(1);
  if (Math.abs(number) >= 1000) return whole.format(Math.round(number));
  return String(Number(number.toPrecision(3)));
}

export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

export function bytes(number) {
  let unit = 0;
  while (number >= 1000 && unit < UNITS.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${unit === 0 || number >= 100 ? Math.round(number) : number.toFixed(1)} ${UNITS[unit]}`;
}

export function duration(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const rounded = Math.round(seconds);
  if (rounded < 600 && rounded % 60) return `${Math.floor(rounded / 60)} min ${rounded % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.round(hours / 24)} days`;
}

export function time(text) {
  return moment.format(new Date(text));
}

/** A word of the API in a sentence: `largest_piece_share` becomes `largest piece share`. */
export function words(name) {
  return name.replaceAll("_", " ");
}

export function sentence(name) {
  const text = words(name);
  return text.charAt(0).toUpperCase() + text.slice(1);
}
