// A list of messages: days, groups of one author, and the actions of each message.

import { avatar, fill, h, iconButton } from "./dom.js";
import { blocks, plainText } from "./blocks.js";
import { REACTIONS, emoji, link, unescape } from "./inline.js";
import { openMenu } from "./menu.js";
import { mrkdwn } from "./prose.js";
import { clock, day, moment, roleOf } from "./store.js";

const GROUP_MS = 5 * 60 * 1000;
const ENDINGS = {
  expired: "This answer was cut off, because a stream ends after five minutes.",
  stopped_by_user: "Stopped.",
};

export class MessageList {
  #element;
  #page;
  #inThread;
  #shown = new Map();
  #editing = null;
  #key = "";

  constructor(element, page, inThread) {
    this.#element = element;
    this.#page = page;
    this.#inThread = inThread;
    element.addEventListener("scroll", () => (this.#pinned = this.#atEnd()), { passive: true });
    element.addEventListener("keydown", (event) => this.#walk(event));
    element.addEventListener("focusin", (event) => reach(event.target.closest(".message"), 0));
    element.addEventListener("focusout", (event) => reach(event.target.closest(".message"), -1));
    new ResizeObserver(() => this.#pinned && this.toEnd()).observe(element);
  }

  #pinned = true;

  // Arrow keys move between messages; Tab moves into the actions of the focused message.
  #walk(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    const current = event.target.closest(".message");
    if (!(event.key in steps) || event.altKey || !(event.target === this.#element || event.target === current)) return;
    const all = [...this.#element.querySelectorAll(".message")];
    const from = current ? all.indexOf(current) : all.length;
    const to = Math.max(0, Math.min(all.length - 1, from + steps[event.key]));
    all[to]?.focus();
    event.preventDefault();
  }

  #atEnd() {
    return this.#element.scrollTop > this.#end() - 40;
  }

  // Scroll to the end, or to the start of a last message that is taller than the view: people read answers from the top.
  #end() {
    const { scrollHeight, clientHeight } = this.#element;
    const last = [...this.#element.querySelectorAll(".message")].at(-1);
    return Math.min(scrollHeight - clientHeight, last ? last.offsetTop - this.#element.offsetTop - 14 : Infinity);
  }

  toEnd() {
    this.#element.scrollTop = this.#end();
  }

  /** Show messages; unchanged ones keep their element. `key` names the conversation; a new one starts at its end. */
  show(key, messages, { top = null, bottom = null, line = null } = {}) {
    if (key !== this.#key) {
      this.#key = key;
      this.#shown.clear();
      this.#pinned = true;
      this.#editing = null;
    }
    const rows = [top];
    let before = null;
    for (const [n, message] of messages.entries()) {
      if (!before || day(before.ts) !== day(message.ts)) rows.push(h("div", { class: "day" }, day(message.ts)));
      rows.push(this.#row(message, follows(before, message)));
      if (line && n === 0) rows.push(line);
      before = message;
    }
    fill(this.#element, rows, bottom);
    if (this.#pinned) this.toEnd();
  }

  #row(message, isFollowing) {
    const { store } = this.#page;
    const session = this.#inThread ? null : store.session(message.channel, message.ts);
    const last = store.publicReplies(message.channel, message.ts).at(-1);
    const mark = JSON.stringify([message, isFollowing, session, this.#editing === message.ts, this.#inThread ? null : last]);
    const known = this.#shown.get(message.ts);
    if (known?.mark === mark) return known.element;
    const element = this.#make(message, isFollowing);
    if (known?.element.contains(document.activeElement)) queueMicrotask(() => element.querySelector(".tools button, textarea")?.focus());
    this.#shown.set(message.ts, { mark, element });
    return element;
  }

  #make(message, isFollowing) {
    const { store } = this.#page;
    const author = store.author(message);
    const classes = ["message", isFollowing && "follows", message.ephemeral && "ephemeral", message.subtype === "tombstone" && "deleted"];
    return h("article", { class: classes.filter(Boolean).join(" "), tabIndex: -1, data: { ts: message.ts, by: message.user }, "aria-label": `${author?.real_name ?? "?"}, ${clock(message.ts)}` },
      message.ephemeral ? this.#onlyYou(message) : null,
      isFollowing ? h("span", { class: "gutter" }, clock(message.ts).replace(/\s?[ap]m$/i, "")) : avatar(author),
      h("div", {},
        isFollowing ? null : this.#by(message, author),
        this.#editing === message.ts ? this.#editor(message) : this.#body(message),
        this.#reactions(message),
        this.#inThread ? null : this.#replies(message)),
      this.#tools(message));
  }

  #by(message, author) {
    return h("div", { class: "by" },
      h("span", { class: "author" }, author?.real_name ?? message.user),
      author?.is_bot ? h("span", { class: "tag" }, "APP") : null,
      roleOf(author) ? h("span", { class: "tag role" }, roleOf(author)) : null,
      h("time", { datetime: moment(message.ts).toISOString(), title: moment(message.ts).toLocaleString() }, clock(message.ts)));
  }

  #onlyYou(message) {
    const dismiss = h("button", { type: "button", onclick: () => this.#page.dismiss(message) }, "Dismiss");
    return h("div", { class: "only-you" }, "Only visible to you · ", dismiss);
  }

  #body(message) {
    const { store } = this.#page;
    const context = { store, press: (action) => this.#page.press(message, action) };
    const said = message.blocks?.length ? blocks(message.blocks, context) : mrkdwn(message.text, store);
    const streaming = message.stream === "streaming";
    const ending = ENDINGS[message.stream];
    if (streaming) endOf(said).append(h("span", { class: "caret", role: "img", "aria-label": "still writing" }));
    return h("div", { class: streaming ? "body streaming" : "body" }, said, filesOf(message),
      message.edited && !message.bot_id ? h("span", { class: "edited" }, " (edited)") : null,
      ending ? h("div", {}, h("span", { class: "ended" }, ending)) : null);
  }

  #reactions(message) {
    if (!message.reactions?.length) return null;
    const { store } = this.#page;
    return h("div", { class: "reactions" }, message.reactions.map(({ name, users, count }) => {
      const mine = users.includes(store.me);
      const names = users.map((id) => store.person(id)?.real_name ?? id).join(", ");
      return h("button", {
        type: "button", class: "reaction", "aria-pressed": String(mine), title: `${names}: :${name}:`,
        onclick: () => this.#page.react(message, name, !mine),
      }, `${emoji(name)} ${count}`);
    }));
  }

  #replies(message) {
    const { store } = this.#page;
    const replies = store.publicReplies(message.channel, message.ts);
    const session = store.session(message.channel, message.ts);
    const parts = [];
    if (replies.length) {
      const last = replies.at(-1);
      const who = [...new Set(replies.map((reply) => reply.user))].slice(0, 3);
      const peek = last.stream === "streaming" ? "is answering…" : plainText(last, store);
      parts.push(h("button", { type: "button", class: "replies", onclick: () => this.#page.openThread(message.channel, message.ts) },
        who.map((id) => avatar(store.person(id), true)),
        h("span", { class: "count" }, replies.length === 1 ? "1 reply" : `${replies.length} replies`),
        h("span", { class: "peek" }, `${store.author(last)?.real_name ?? ""}: ${peek}`)));
    }
    if (session && replies.at(-1)?.stream !== "streaming") parts.push(this.#page.working(session));
    return parts;
  }

  #tools(message) {
    if (message.ephemeral || message.subtype === "tombstone") return null;
    const mine = message.user === this.#page.store.me;
    const react = iconButton("smile", "Add a reaction", (event) => this.#pick(event.currentTarget, message));
    const tools = h("div", { class: "tools", role: "toolbar", "aria-label": "Message actions" }, react,
      this.#inThread ? null : iconButton("reply", "Reply in thread", () => this.#page.openThread(message.channel, message.root, true)),
      this.#shortcuts.length ? iconButton("more", "More actions", (event) => this.#offerShortcuts(event.currentTarget, message)) : null,
      mine ? iconButton("edit", "Edit message", () => this.edit(message)) : null,
      mine ? iconButton("bin", "Delete message", () => this.#delete(message)) : null);
    tools.querySelectorAll("button").forEach((button) => (button.tabIndex = -1));
    return tools;
  }

  get #shortcuts() {
    return this.#page.store.shortcuts.filter((shortcut) => shortcut.kind === "message");
  }

  #offerShortcuts(button, message) {
    openMenu(button, this.#shortcuts.map((shortcut) => [shortcut.name, () => this.#page.runShortcut(shortcut, message)]));
  }

  #pick(button, message) {
    const choose = (name) => {
      const mine = message.reactions?.find((reaction) => reaction.name === name)?.users.includes(this.#page.store.me);
      this.#page.react(message, name, !mine);
    };
    const choices = REACTIONS.map((name) => h("button", { type: "button", class: "icon", title: `:${name}:`, "aria-label": name, onclick: () => choose(name) }, emoji(name)));
    button.replaceWith(...choices);
    choices[0].focus();
  }

  #delete(message) {
    if (confirm("Delete this message?")) this.#page.remove(message);
  }

  /** Replace a message by an editor. */
  edit(message) {
    this.#editing = message.ts;
    this.#page.refresh();
    this.#element.querySelector(".edit textarea")?.focus();
  }

  #editor(message) {
    const field = h("textarea", { value: typed(message.text, this.#page.store), "aria-label": "Edit message" });
    const close = () => {
      this.#editing = null;
      this.#page.refresh();
      this.#page.focusComposer(this.#inThread);
    };
    const save = async () => {
      await this.#page.edit(message, field.value);
      close();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        save();
      } else return;
      event.stopPropagation();
    });
    return h("div", { class: "edit" }, field, h("div", { class: "row" },
      h("button", { type: "button", class: "button primary", onclick: save }, "Save"),
      h("button", { type: "button", class: "button", onclick: close }, "Cancel")));
  }
}

function filesOf(message) {
  if (!message.files?.length) return null;
  return h("div", { class: "attached" }, message.files.map((file) => h("span", { class: "file" }, file.permalink ? link(file.permalink, [file.name]) : file.name, h("span", { class: "hint" }, ` ${sizeOf(file.size)}`))));
}

function sizeOf(bytes) {
  return bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function reach(message, tabIndex) {
  message?.querySelectorAll(".tools button").forEach((button) => (button.tabIndex = tabIndex));
}

/** Return the last line of the last text, where the writing continues. */
function endOf(said) {
  const text = [...said.children].at(-1);
  const lines = text?.classList.contains("prose") ? [...text.querySelectorAll("p, li, h1, h2, h3, h4, td, pre code")] : [];
  return lines.at(-1) ?? said;
}

function follows(before, message) {
  if (!before || before.user !== message.user || before.username !== message.username) return false;
  if (message.ephemeral || before.ephemeral || before.subtype === "tombstone") return false;
  return moment(message.ts) - moment(before.ts) < GROUP_MS && day(before.ts) === day(message.ts);
}

/** Return a stored text as the person typed it. */
export function typed(text, store) {
  return unescape(text
    .replace(/<@([A-Z0-9]+)(?:\|[^>]*)?>/g, (whole, id) => (store.person(id) ? `@${store.person(id).name}` : whole))
    .replace(/<#[A-Z0-9]+\|([^>]*)>/g, "#$1")
    .replace(/<!(here|channel|everyone)>/g, "@$1")
    .replace(/<!subteam\^[A-Z0-9]+\|([^>]*)>/g, "$1")
    .replace(/<(https?:[^|>]+)(?:\|[^>]*)?>/g, "$1"));
}
