// Text within a line, in Slack's mrkdwn or in Markdown, as nodes.

import { h } from "./dom.js";

const EMOJI = {
  eyes: "👀", "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", white_check_mark: "✅", heavy_check_mark: "✔️",
  x: "❌", warning: "⚠️", hourglass_flowing_sand: "⏳", hourglass: "⌛", tada: "🎉", heart: "❤️", pray: "🙏", bulb: "💡",
  books: "📚", book: "📖", mag: "🔍", rocket: "🚀", wave: "👋", thinking_face: "🤔", raised_hands: "🙌", smile: "😄",
  page_facing_up: "📄", link: "🔗", gear: "⚙️", arrows_counterclockwise: "🔄", no_entry: "⛔", memo: "📝", joy: "😂",
};

export function emoji(name) {
  return EMOJI[name] ?? `:${name}:`;
}

export const REACTIONS = ["+1", "heart", "tada", "eyes", "white_check_mark", "thinking_face"];

export function unescape(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** A link as it may be followed: http(s) opens elsewhere, a file's path can be copied, anything else is text. */
export function link(url, children, extra = "") {
  const label = children.length ? children : [url.replace(/^mailto:/, "")];
  if (/^(https?:\/\/|mailto:)/i.test(url)) {
    return h("a", { href: url, target: "_blank", rel: "noopener noreferrer", class: extra, title: url }, label);
  }
  if (/^file:\/\//i.test(url)) return path(url, label, extra);
  return h("span", { title: url }, label);
}

function path(url, label, extra) {
  let plain = url.replace(/^file:\/\//i, "");
  try {
    plain = decodeURIComponent(plain);
  } catch {
    // A path that is no valid percent-encoding is shown as it is.
  }
  const copy = h("button", { type: "button", title: `Copy ${plain}`, "aria-label": `Copy the path ${plain}` }, "copy path");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(plain);
    copy.textContent = "copied";
    setTimeout(() => (copy.textContent = "copy path"), 1500);
  });
  return h("span", { class: `path ${extra}`, title: plain }, h("span", {}, label), copy);
}

// <@U1>, <#C1|name>, <!channel>, <https://…|label>
const ENTITY = /<([@#!]?)([^<>|]+)(?:\|([^<>]*))?>/;

function entity(found, context) {
  const [, mark, body, label] = found;
  if (mark === "@") {
    const person = context.store.person(body);
    const you = body === context.store.me ? " you" : "";
    return h("span", { class: `mention${you}` }, `@${label || (person?.real_name ?? body)}`);
  }
  if (mark === "#") return h("span", { class: "mention" }, `#${label || (context.store.channels.get(body)?.name ?? body)}`);
  if (mark === "!") {
    const said = body.startsWith("date^") ? label : body.startsWith("subteam") ? label : `@${body}`;
    return h("span", { class: "mention you" }, unescape(said ?? body));
  }
  return link(unescape(body), label ? [unescape(label)] : []);
}

const CODE = /`([^`\n]+)`/;
const EMOJI_NAME = /:([a-z0-9_+-]+):/;
const BEFORE = String.raw`(?<![\p{L}\p{N}])`;
const AFTER = String.raw`(?![\p{L}\p{N}])`;

function styled(mark, tag) {
  const one = mark === "*" ? "\\*" : mark;
  const pattern = new RegExp(`${BEFORE}${one}(?=\\S)([^${one}\\n]*?\\S)${one}${AFTER}`, "u");
  return [pattern, (found, context) => h(tag, {}, run(found[1], context))];
}

const MRKDWN = [
  [CODE, (found) => h("code", {}, unescape(found[1]))],
  [ENTITY, entity],
  styled("*", "strong"),
  styled("_", "em"),
  styled("~", "s"),
  [EMOJI_NAME, (found) => (EMOJI[found[1]] ? EMOJI[found[1]] : null)],
];

const CITATION = /^\[?\d{1,3}\]?$/;

function reference(found, context) {
  const [, label, url] = found;
  const plain = label.replace(/^\\?\[|\\?\]$/g, "");
  if (CITATION.test(plain)) return link(url, [plain], "cite");
  return link(url, run(label, context));
}

const MARKDOWN = [
  [/(`+)(.+?)\1(?!`)/, (found) => h("code", {}, found[2].trim() || found[2])],
  [/\\([\\`*_{}[\]()#+\-.!~|>])/, (found) => found[1]],
  [/!?\[((?:\\?\[[^\]\n]*\\?\]|[^\]\n])*)\]\(\s*<?((?:[^()\s<>]|\([^()\s]*\))+)>?(?:\s+"[^"]*")?\s*\)/, reference],
  [ENTITY, entity],
  [/\*\*(?=\S)(.+?\S|\S)\*\*/, (found, context) => h("strong", {}, run(found[1], context))],
  [/(?<![\p{L}\p{N}_])__(?=\S)(.+?\S|\S)__(?![\p{L}\p{N}_])/u, (found, context) => h("strong", {}, run(found[1], context))],
  [/~~(?=\S)(.+?\S|\S)~~/, (found, context) => h("s", {}, run(found[1], context))],
  [/\*(?=[^\s*])([^*\n]*[^\s*])\*/, (found, context) => h("em", {}, run(found[1], context))],
  [/(?<![\p{L}\p{N}_])_(?=\S)([^_\n]*\S)_(?![\p{L}\p{N}_])/u, (found, context) => h("em", {}, run(found[1], context))],
  [/https?:\/\/[^\s<>()\u3000-\u303f\uff00-\uffef]+[^\s<>().,;:!?'"\u3000-\u303f\uff00-\uffef]/, (found) => link(found[0], [])],
  [EMOJI_NAME, (found) => (EMOJI[found[1]] ? EMOJI[found[1]] : null)],
];

/** Split a text at the first thing that a rule finds, and go on behind it. */
function run(text, context) {
  const nodes = [];
  let rest = text;
  while (rest) {
    let best = null;
    for (const [pattern, make] of context.rules) {
      const found = pattern.exec(rest);
      if (found && (!best || found.index < best.found.index)) best = { found, make };
      if (best?.found.index === 0) break;
    }
    if (!best) break;
    const { found, make } = best;
    const node = make(found, context);
    const before = rest.slice(0, found.index);
    if (before) nodes.push(context.plain(before));
    nodes.push(node ?? context.plain(found[0]));
    rest = rest.slice(found.index + found[0].length);
  }
  if (rest) nodes.push(context.plain(rest));
  return nodes;
}

/** A line of mrkdwn as nodes; its text is escaped as Slack escapes it. */
export function mrkdwnLine(text, store) {
  return run(text, { store, rules: MRKDWN, plain: unescape });
}

/** A line of Markdown as nodes. */
export function markdownLine(text, store) {
  return run(text, { store, rules: MARKDOWN, plain: unescape });
}
