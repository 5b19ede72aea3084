// Texts of several lines: Slack's mrkdwn, and the Markdown of its markdown block.

import { h } from "./dom.js";
import { markdownLine, mrkdwnLine, unescape } from "./inline.js";

/** Return a text in mrkdwn as nodes: lines, quotes and ``` blocks. */
export function mrkdwn(text, store) {
  const parts = text.split(/```\n?([\s\S]*?)\n?```/);
  return h("div", { class: "prose mrkdwn" }, parts.map((part, n) => (n % 2 ? code(unescape(part)) : lines(part, store))));
}

function code(text) {
  return h("pre", {}, h("code", {}, text));
}

function lines(text, store) {
  const groups = [];
  for (const line of text.split("\n")) {
    const quoted = /^(?:&gt;|>)\s?/.test(line);
    if (!groups.length || groups.at(-1).quoted !== quoted) groups.push({ quoted, lines: [] });
    groups.at(-1).lines.push(quoted ? line.replace(/^(?:&gt;|>)\s?/, "") : line);
  }
  return groups
    .filter((group) => group.quoted || group.lines.some((line) => line.trim()))
    .map((group) => h(group.quoted ? "blockquote" : "div", {}, broken(group.lines, (line) => mrkdwnLine(line, store))));
}

function broken(all, inline) {
  return all.flatMap((line, n) => (n ? [h("br"), ...inline(line)] : inline(line)));
}

const FENCE = /^\s{0,3}(`{3,}|~{3,})\s*([\w+-]*).*$/;
const HEADING = /^\s{0,3}(#{1,6})\s(.*)$/;
const RULE = /^\s{0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+•]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^\s{0,3}>\s?/;
const DIVIDER = /^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?$/;
const DEEPEST = 8;

/** Return a text in Markdown as nodes. */
export function markdown(text, store) {
  return h("div", { class: "prose markdown" }, blocksOf(text.replaceAll("\r\n", "\n").split("\n"), store));
}

function blocksOf(all, store, depth = 0) {
  const inline = (line) => markdownLine(line, store);
  if (depth >= DEEPEST) return [h("p", {}, broken(all, inline))];
  const nodes = [];
  let at = 0;
  while (at < all.length) {
    const line = all[at];
    const fence = FENCE.exec(line);
    const heading = HEADING.exec(line);
    if (!line.trim()) at += 1;
    else if (fence) {
      const end = endOfFence(all, at, fence[1]);
      nodes.push(code(all.slice(at + 1, end).join("\n")));
      at = end + 1;
    } else if (heading) {
      nodes.push(h(`h${Math.min(heading[1].length, 4)}`, {}, inline(heading[2].trim().replace(/\s#+$/, ""))));
      at += 1;
    } else if (RULE.test(line)) {
      nodes.push(h("hr"));
      at += 1;
    } else if (isTable(all, at)) {
      const end = firstAfter(all, at, (row) => !row.includes("|") || !row.trim());
      nodes.push(table(all.slice(at, end), inline));
      at = end;
    } else if (QUOTE.test(line)) {
      const end = firstAfter(all, at, (row) => !QUOTE.test(row));
      nodes.push(h("blockquote", {}, blocksOf(all.slice(at, end).map((row) => row.replace(QUOTE, "")), store, depth + 1)));
      at = end;
    } else if (ITEM.test(line)) {
      const end = endOfList(all, at);
      nodes.push(list(all.slice(at, end), store, depth));
      at = end;
    } else {
      const end = firstAfter(all, at, (row, n) => !row.trim() || FENCE.test(row) || HEADING.test(row) || QUOTE.test(row) || ITEM.test(row) || isTable(all, n));
      nodes.push(h("p", {}, broken(all.slice(at, end).map((row) => row.replace(/\s{2,}$|\\$/, "")), inline)));
      at = end;
    }
  }
  return nodes;
}

function firstAfter(all, at, stops) {
  let end = at + 1;
  while (end < all.length && !stops(all[end], end)) end += 1;
  return end;
}

function endOfFence(all, at, mark) {
  return firstAfter(all, at, (row) => row.trim().startsWith(mark) && !row.trim().replaceAll(mark[0], ""));
}

function isTable(all, at) {
  return all[at].includes("|") && at + 1 < all.length && all[at + 1].includes("-") && DIVIDER.test(all[at + 1].trim()) && all[at + 1].includes("|");
}

function cells(row) {
  return row.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function table([head, , ...rows], inline) {
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, cells(head).map((cell) => h("th", {}, inline(cell))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, cells(row).map((cell) => h("td", {}, inline(cell))))))));
}

// A list continues after blank lines if another item of its kind or an indented line follows.
function endOfList(all, at) {
  const [, indent, mark] = ITEM.exec(all[at]);
  const goesOn = (line) => {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length + 1) return /\d/.test(item[2]) === /\d/.test(mark);
    return Boolean(item) || /^\s{2,}\S/.test(line);
  };
  let end = at + 1;
  while (end < all.length) {
    const isBlank = !all[end].trim();
    const next = isBlank ? all[firstAfter(all, end, (line) => line.trim())] : all[end];
    const lazy = !isBlank && !(ITEM.test(next) || HEADING.test(next) || FENCE.test(next) || QUOTE.test(next));
    if (next === undefined || !(goesOn(next) || lazy)) break;
    end += 1;
  }
  return end;
}

function list(all, store, depth) {
  const [, indent, mark] = ITEM.exec(all[0]);
  const ordered = /\d/.test(mark);
  const items = [];
  for (const line of all) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length + 1) items.push([item[3]]);
    else items.at(-1).push(line.replace(/^\s{1,4}/, ""));
  }
  const made = items.map((item) => h("li", {}, item.length === 1 ? markdownLine(item[0], store) : unwrapped(blocksOf(item, store, depth + 1))));
  return h(ordered ? "ol" : "ul", ordered ? { start: Number.parseInt(mark, 10) } : {}, made);
}

// The first paragraph of an item is on the item's own line.
function unwrapped(nodes) {
  const [first, ...rest] = nodes;
  return first?.tagName === "P" ? [...first.childNodes, ...rest] : nodes;
}
