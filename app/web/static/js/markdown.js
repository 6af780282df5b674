/** Model cards as elements: headings, paragraphs, lists and tables of Markdown; the rest as text. */
import { h } from "./dom.js";

export function markdown(text) {
  return text.split(/\n{2,}/).map((block) => element(block.trim())).filter(Boolean);
}

function element(block) {
  if (!block) return null;
  const [first, ...rest] = block.split("\n");
  const heading = /^(#+)\s+(.*)/.exec(first);
  if (heading) {
    // The page's own heading stands above the card's.
    const level = Math.min(4, heading[1].length + 1);
    return [h(`h${level}`, {}, heading[2]), rest.length > 0 && element(rest.join("\n"))].filter(Boolean);
  }
  if (/^\|.*\|$/.test(first)) return table(block.split("\n"));
  if (/^[-*] /.test(first)) return h("ul", {}, block.split(/\n(?=[-*] )/).map((item) => h("li", {}, inline(item.slice(2)))));
  return h("p", {}, inline(block));
}

function table(lines) {
  const [head, , ...rows] = lines.map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));
  return h("div", { class: "table" }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((cell) => h("th", { scope: "col" }, cell)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, place) => (place ? h("td", {}, inline(cell)) : h("th", { scope: "row" }, inline(cell)))))))));
}

function inline(text) {
  return text.split(/(\*\*[^*]+\*\*|`[^`]+`|https?:\/\/[^\s)]+[^\s).,;])/).map((part) => {
    if (part.startsWith("**")) return h("strong", {}, part.slice(2, -2));
    if (part.startsWith("`")) return h("code", {}, part.slice(1, -1));
    if (/^https?:/.test(part)) return h("a", { href: part, rel: "noreferrer" }, part);
    return part;
  });
}
