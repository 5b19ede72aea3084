// Block Kit as nodes. `context` has the store and `press(action)`, which is called with the action of a pressed element.

import { h, icon } from "./dom.js";
import { makeInput } from "./inputs.js";
import { emoji, link } from "./inline.js";
import { markdown, mrkdwn } from "./prose.js";

export function blocks(all, context) {
  return h("div", { class: "blocks" }, all.map((block) => render(block, context)));
}

function render(block, context) {
  return (RENDERERS[block.type] ?? unknown)(block, context);
}

function unknown(block) {
  return h("p", { class: "block-context" }, `[${block.type}]`);
}

function text(object, context) {
  if (!object) return null;
  return object.type === "mrkdwn" ? mrkdwn(object.text, context.store) : h("div", { class: "plain" }, object.text);
}

function section(block, context) {
  const fields = block.fields?.length ? h("div", { class: "block-fields" }, block.fields.map((field) => text(field, context))) : null;
  const accessory = block.accessory ? element(block.accessory, block, context) : null;
  return h("div", { class: "block-section" }, h("div", {}, text(block.text, context), fields), accessory);
}

function contextBlock(block, context) {
  return h("div", { class: "block-context" }, block.elements.map((item) => text(item, context)));
}

function actions(block, context) {
  return h("div", { class: "block-actions" }, block.elements.map((item) => element(item, block, context)));
}

function contextActions(block, context) {
  return h("div", { class: "block-context-actions" }, block.elements.map((item) => element(item, block, context)));
}

function element(item, block, context) {
  if (item.visible_to_user_ids && !item.visible_to_user_ids.includes(context.store.me)) return null;
  const press = (more = {}) => context.press({ action_id: item.action_id, block_id: block.block_id, ...more });
  if (item.type === "button") {
    if (item.url) return link(item.url, [item.text.text], "button");
    return h("button", { type: "button", class: `button ${item.style ?? ""}`, "aria-label": item.accessibility_label, onclick: () => confirmed(item) && press() }, item.text.text);
  }
  if (item.type === "feedback_buttons") return feedback(item, press, `${context.store.me} ${block.block_id}`);
  if (item.type === "icon_button") {
    const label = item.text?.text ?? "Button";
    const shown = item.icon === "trash" ? icon("bin") : label;
    return h("button", { type: "button", class: "icon", title: label, "aria-label": label, onclick: () => confirmed(item) && press() }, shown);
  }
  return chooser(item, press, context.store) ?? unknown(item);
}

function confirmed(item) {
  return !item.confirm || confirm(`${item.confirm.title.text}\n\n${item.confirm.text.text}`);
}

/** Return an element that sends each choice at once. */
function chooser(item, press, store) {
  const made = makeInput(item, store);
  if (!made) return null;
  made.node.classList.add("chooser");
  made.node.setAttribute("aria-label", item.accessibility_label ?? item.placeholder?.text ?? "Choose");
  made.node.addEventListener("change", () => {
    press(made.read());
    if (item.type === "overflow") made.node.selectedIndex = 0;
  });
  return made.node;
}

/** The vote that each person has pressed, by person and block, so that it stays when its message is drawn again. */
const VOTES = new Map();

function feedback(item, press, place) {
  const half = (value, name) => {
    const label = item[`${value}_button`]?.text?.text ?? (value === "positive" ? "Good answer" : "Bad answer");
    const button = h("button", { type: "button", class: "icon", title: label, "aria-label": label, "aria-pressed": String(VOTES.get(place) === value) }, icon(name));
    button.addEventListener("click", () => {
      VOTES.set(place, value);
      button.parentElement.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      press({ value });
    });
    return button;
  };
  return h("span", {}, half("positive", "up"), half("negative", "down"));
}

function table(block, context) {
  const [head, ...rows] = block.rows;
  const align = block.column_settings?.map((column) => column?.align ?? "") ?? [];
  const cell = (tag) => (item, n) => h(tag, { class: align[n] ?? "" }, item.type === "rich_text" ? richText(item, context) : item.text ?? "");
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, (head ?? []).map(cell("th")))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell("td")))))));
}

const STATES = { pending: "○", in_progress: "◐", complete: "✓", error: "!" };

function task(block, context) {
  const state = block.status ?? "pending";
  const more = [block.details, block.output].filter(Boolean).map((item) => h("div", { class: "more" },
    typeof item === "string" ? item : richText(item, context)));
  const sources = block.sources?.length
    ? h("div", { class: "more" }, block.sources.flatMap((source, n) => [n ? " · " : "", link(source.url, [source.text ?? source.url])]))
    : null;
  return h("div", { class: "task" }, h("span", { class: `state ${state}`, role: "img", "aria-label": state.replace("_", " ") }, STATES[state]),
    h("span", {}, block.title), more, sources);
}

/** A plan is open while it runs, and folds up once all of its tasks are complete, as in Slack. */
function plan(block, context) {
  const tasks = block.tasks ?? [];
  const isOver = tasks.length > 0 && tasks.every((item) => item.status === "complete");
  return h("details", { class: "card plan", open: !isOver },
    h("summary", { class: "card-title" }, block.title || "Tasks"), tasks.map((item) => task(item, context)));
}

function richText(block, context) {
  return h("div", { class: "prose rich" }, block.elements.map((item) => richElement(item, context)));
}

function richElement(item, context) {
  const inner = () => item.elements.map((child) => richLeaf(child, context));
  switch (item.type) {
    case "rich_text_preformatted":
      return h("pre", {}, h("code", {}, inner()));
    case "rich_text_quote":
      return h("blockquote", {}, inner());
    case "rich_text_list":
      return h(item.style === "ordered" ? "ol" : "ul", {}, item.elements.map((child) => h("li", {}, richElement(child, context))));
    default:
      return h("div", {}, inner());
  }
}

const CITATION = /^\[\d{1,3}\]$/;

function richLeaf(item, context) {
  const styled = (node) => {
    const tags = { bold: "strong", italic: "em", strike: "s", code: "code" };
    return Object.entries(tags).reduce((made, [name, tag]) => (item.style?.[name] ? h(tag, {}, made) : made), node);
  };
  switch (item.type) {
    case "text":
      return styled(h("span", {}, item.text.split("\n").flatMap((line, n) => (n ? [h("br"), line] : [line]))));
    case "link":
      return styled(CITATION.test(item.text) ? link(item.url, [item.text.slice(1, -1)], "cite") : link(item.url, item.text ? [item.text] : []));
    case "user": {
      const you = item.user_id === context.store.me ? " you" : "";
      return h("span", { class: `mention${you}` }, `@${context.store.person(item.user_id)?.real_name ?? item.user_id}`);
    }
    case "channel":
      return h("span", { class: "mention" }, `#${context.store.channels.get(item.channel_id)?.name ?? item.channel_id}`);
    case "broadcast":
      return h("span", { class: "mention you" }, `@${item.range}`);
    case "emoji":
      return emoji(item.name);
    default:
      return item.text ?? "";
  }
}

const READERS = new WeakMap();

function input(block, context) {
  const made = makeInput(block.element, context.store);
  if (!made) return unknown(block.element);
  const { node, read } = made;
  const { element } = block;
  if ("required" in node) node.required = !block.optional;
  node.dataset.action = element.action_id;
  node.dataset.block = block.block_id;
  READERS.set(node, read);
  if (block.dispatch_action) node.addEventListener("change", () => context.press({ action_id: element.action_id, block_id: block.block_id, ...read() }));
  const problem = context.errors?.[block.block_id];
  if (problem) node.setAttribute("aria-invalid", "true");
  const tag = node.getAttribute("role") === "group" ? "div" : "label";
  if (tag === "div") node.setAttribute("aria-label", block.label.text);
  return h(tag, { class: "field" }, h("strong", {}, block.label.text, block.optional ? h("span", { class: "optional" }, " (optional)") : null), node,
    block.hint ? h("span", { class: "block-context" }, block.hint.text) : null,
    problem ? h("span", { class: "error", role: "alert" }, problem) : null);
}

/** Return the state of all fields under an element, by block and action, as Slack sends it. */
export function readValues(root) {
  const found = {};
  for (const node of root.querySelectorAll("[data-action]")) {
    found[node.dataset.block] = { ...found[node.dataset.block], [node.dataset.action]: READERS.get(node)() };
  }
  return found;
}

const RENDERERS = {
  section,
  actions,
  table,
  plan,
  input,
  context: contextBlock,
  context_actions: contextActions,
  task_card: (block, context) => h("div", { class: "card" }, task(block, context)),
  rich_text: richText,
  header: (block) => h("h3", { class: "block-header" }, block.text.text),
  divider: () => h("hr", { class: "block-divider" }),
  markdown: (block, context) => markdown(block.text, context.store),
  image: (block) => h("p", { class: "block-context" }, `[image: ${block.alt_text}]`),
  alert: (block, context) => h("div", { class: "card" }, text(block.text, context) ?? ""),
  container: (block, context) => h("details", { class: "card", open: !block.is_collapsed },
    h("summary", { class: "card-title" }, block.title?.text ?? ""), blocks(block.child_blocks ?? block.blocks ?? [], context)),
};

/** Return the visible text of a message as one line without markup, for previews and screen readers. */
export function plainText(message, store) {
  const shown = message.blocks?.length ? blocks(message.blocks, { store, press() {} }) : mrkdwn(message.text ?? "", store);
  shown.querySelectorAll("button, .button, .plan").forEach((node) => node.remove());
  shown.querySelectorAll(".cite").forEach((node) => (node.textContent = `[${node.textContent}]`));
  shown.querySelectorAll("br, div, h1, h2, h3, h4, li, p, pre, td, th").forEach((node) => node.after(" "));
  return shown.textContent.replace(/\s+/g, " ").trim().slice(0, 600);
}
