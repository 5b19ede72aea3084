// Text of one line, in Slack's mrkdwn or in Markdown, as nodes.

import { h } from "./dom.js";

const EMOJI = {
  eyes: "👀", "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", white_check_mark: "✅", heavy_check_mark: "✔️",
  x: "❌", warning: "⚠️", hourglass_flowing_sand: "⏳", hourglass: "⌛", tada: "🎉", heart: "❤️", pray: "🙏", bulb: "💡",
  books: "📚", book: "📖", mag: "🔍", rocket: "🚀", wave: "👋", thinking_face: "🤔", raised_hands: "🙌", smile: "😄",
  page_facing_up: "📄", link: "🔗", gear: "⚙️", arrows_counterclockwise: "🔄", no_entry: "⛔", memo: "📝", joy: "😂",
  mute: "🔇", pause_button: "⏸️",
};

export function emoji(name) {
  return EMOJI[name] ?? `:${name}:`;
}

export const REACTIONS = ["+1", "heart", "tada", "eyes", "white_check_mark", "thinking_face", "mute"];

export function unescape(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** Return where the page shows a message, as its hash, from the message's permalink; "" for another address. */
export function findMessage(address) {
  const { pathname, port } = new URL(address, location.href);
  const [, channel, seconds, fraction] = /^\/archives\/(\w+)\/p(\d{10})(\d{6})$/.exec(pathname) ?? [];
  return channel && port === location.port ? `#${channel}/${seconds}.${fraction}` : "";
}

/** Return a link: a message opens here, another http(s) address in a new tab, a file's path can be copied, else text. */
export function link(url, children, extra = "") {
  const label = children.length ? children : [url.replace(/^mailto:/, "")];
  if (URL.canParse(url) && findMessage(url)) return h("a", { href: findMessage(url), class: extra, title: url }, label);
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
    // A path without a valid percent-encoding is shown unchanged.
  }
  const copy = h("button", { type: "button", title: `Copy ${plain}`, "aria-label": `Copy the path ${plain}` }, "copy path");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(plain);
    copy.textContent = "copied";
    setTimeout(() => (copy.textContent = "copy path"), 1500);
  });
  return h("span", { class: `path ${extra}`, title: plain }, h("span", {}, label), copy);
}

// A rule matches at one of its first characters, over a bounded length and without ambiguity. So the time to read a line
// is linear in its length.

const ENTITY = /<([@#!]?)([^<>|\n]{1,2000})(?:\|([^<>\n]{0,2000}))?>/y;
const EMOJI_NAME = /:([a-z0-9_+-]{1,40}):/y;
const ADDRESS = /https?:\/\/[^\s<>()\u3000-\u303f\uff00-\uffef]{1,2000}/y;
const DEEPEST = 12;

// <@U1>, <#C1|name>, <!channel>, <https://…|label>
function entity(found, context) {
  const [, mark, body, label] = found;
  if (mark === "@") {
    const person = context.store.person(body);
    const you = body === context.store.me ? " you" : "";
    return h("span", { class: `mention${you}` }, `@${label || (person?.real_name ?? body)}`);
  }
  if (mark === "#") return h("span", { class: "mention" }, `#${label || (context.store.channels.get(body)?.name ?? body)}`);
  if (mark === "!") {
    const said = body.startsWith("date^") || body.startsWith("subteam") ? label : `@${body}`;
    return h("span", { class: "mention you" }, unescape(said ?? body));
  }
  return link(unescape(body), label ? [unescape(label)] : []);
}

function emojiNamed(found) {
  return EMOJI[found[1]] ?? found[0];
}

function bare(found) {
  const url = found[0].replace(/[.,;:!?'"]{1,20}$/, "");
  return [link(url, []), found[0].slice(url.length)];
}

function styled(pattern, tag) {
  return [pattern, (found, context) => h(tag, {}, run(found.at(-1), context))];
}

const CITATION = /^\d{1,3}$/;

// [label](url "title"): the label may have brackets of its own, so brackets are counted.
function reference(text, at, context) {
  const start = text[at] === "!" ? at + 1 : at;
  if (text[start] !== "[") return null;
  const end = closing(text, start, "[", "]", 600);
  if (end < 0 || text[end + 1] !== "(") return null;
  const close = closing(text, end + 1, "(", ")", 2000);
  if (close < 0) return null;
  const [, url] = /^\s*<?([^\s<>]*)>?/.exec(text.slice(end + 2, close));
  if (!url) return null;
  const label = text.slice(start + 1, end);
  const number = label.replace(/^\\?\[/, "").replace(/\\?\]$/, "");
  const node = CITATION.test(number) ? link(url, [number], "cite") : link(url, run(label, context));
  return { node, end: close + 1 };
}

function closing(text, at, open, close, farthest) {
  let depth = 0;
  for (let n = at; n < Math.min(text.length, at + farthest); n += 1) {
    if (text[n] === "\\") n += 1;
    else if (text[n] === open) depth += 1;
    else if (text[n] === close) {
      depth -= 1;
      if (!depth) return n;
    }
  }
  return -1;
}

const MRKDWN = {
  "`": [[/`([^`\n]{1,2000})`/y, (found) => h("code", {}, unescape(found[1]))]],
  "<": [[ENTITY, entity]],
  "*": [styled(/(?<![\p{L}\p{N}])\*(?=\S)([^*\n]{1,1500})(?<=\S)\*(?![\p{L}\p{N}])/uy, "strong")],
  _: [styled(/(?<![\p{L}\p{N}])_(?=\S)([^_\n]{1,1500})(?<=\S)_(?![\p{L}\p{N}])/uy, "em")],
  "~": [styled(/(?<![\p{L}\p{N}])~(?=\S)([^~\n]{1,1500})(?<=\S)~(?![\p{L}\p{N}])/uy, "s")],
  ":": [[EMOJI_NAME, emojiNamed]],
};

const MARKDOWN = {
  "`": [[/(`{1,3})(?!`)([^\n]{1,2000}?)(?<!`)\1(?!`)/y, (found) => h("code", {}, found[2].trim() || found[2])]],
  "\\": [[/\\([\\`*_{}[\]()#+\-.!~|>])/y, (found) => found[1]]],
  "[": [reference],
  "!": [reference],
  "<": [[ENTITY, entity]],
  "*": [
    [/\*\*\*(?=\S)([^*\n]{1,1500})(?<=\S)\*\*\*/y, (found, context) => h("strong", {}, h("em", {}, run(found[1], context)))],
    styled(/\*\*(?=\S)((?:[^*\n]|\*(?!\*)){1,1500})(?<=\S)\*\*/y, "strong"),
    styled(/\*(?=[^\s*])([^*\n]{1,1500})(?<=\S)\*/y, "em"),
  ],
  _: [
    styled(/(?<![\p{L}\p{N}_])__(?=\S)((?:[^_\n]|_(?!_)){1,1500})(?<=\S)__(?![\p{L}\p{N}_])/uy, "strong"),
    styled(/(?<![\p{L}\p{N}_])_(?=\S)((?:[^_\n]|_(?=[\p{L}\p{N}_])){1,1500})(?<=\S)_(?![\p{L}\p{N}_])/uy, "em"),
  ],
  "~": [styled(/~~(?=\S)((?:[^~\n]|~(?!~)){1,1500})(?<=\S)~~/y, "s")],
  h: [[ADDRESS, bare]],
  ":": [[EMOJI_NAME, emojiNamed]],
};

function applied(rule, text, at, context) {
  if (typeof rule === "function") return rule(text, at, context);
  const [pattern, make] = rule;
  pattern.lastIndex = at;
  const found = pattern.exec(text);
  return found && { node: make(found, context), end: at + found[0].length };
}

/** Return a line as nodes: a node for each rule that matches, and text for the rest. */
function run(text, context) {
  if (context.depth >= DEEPEST) return [context.plain(text)];
  const inner = { ...context, depth: context.depth + 1 };
  const nodes = [];
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    for (const rule of context.rules[text[at]] ?? []) {
      const match = applied(rule, text, at, inner);
      if (!match) continue;
      if (at > from) nodes.push(context.plain(text.slice(from, at)));
      nodes.push(match.node);
      from = match.end;
      at = from - 1;
      break;
    }
  }
  if (from < text.length) nodes.push(context.plain(text.slice(from)));
  return nodes.flat();
}

/** Return a line of mrkdwn as nodes; its text is escaped as Slack escapes it. */
export function mrkdwnLine(text, store) {
  return run(text, { store, rules: MRKDWN, plain: unescape, depth: 0 });
}

/** Return a line of Markdown as nodes. */
export function markdownLine(text, store) {
  return run(text, { store, rules: MARKDOWN, plain: unescape, depth: 0 });
}
