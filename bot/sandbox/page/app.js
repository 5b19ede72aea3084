// The whole page: which conversation is open, when regions are drawn, and what a person can do.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { fill, h, icon, iconButton, redraw } from "./dom.js";
import { plainText } from "./blocks.js";
import { findMessage } from "./inline.js";
import { MessageList } from "./messages.js";
import { sidebar } from "./sidebar.js";
import { WAITING, strip } from "./status.js";
import { Store, isMember, roleOf } from "./store.js";
import { home, modal } from "./views.js";

const FIRST_PERSON = "U0ADA00001";
const at = (id) => document.getElementById(id);

class Page {
  store = new Store();
  channel = null;
  thread = null;
  tab = "messages";
  #link = new Connection();
  #lost = false;
  #drawing = false;
  #main = new MessageList(at("log"), this, false);
  #side = new MessageList(at("thread-log"), this, true);
  #composer = new Composer(at("composer"), this, "composer");
  #threadComposer = new Composer(at("thread-composer"), this, "thread-composer");

  start() {
    this.#link.addEventListener("open", () => this.#opened());
    this.#link.addEventListener("lost", () => this.#setLost(true));
    this.#link.addEventListener("news", ({ detail }) => this.#take(detail));
    document.addEventListener("keydown", (event) => this.#key(event));
    at("main").addEventListener("click", () => at("workspace").classList.remove("menu-open"));
    window.addEventListener("hashchange", () => this.#goToHash());
    this.#link.open();
  }

  // ── Person and conversation ──────────────────────────────────────────────────────────────────────────────────────────────────

  async #opened() {
    this.#setLost(false);
    await this.be(sessionStorage.getItem("person") ?? FIRST_PERSON);
  }

  #setLost(lost) {
    this.#lost = lost;
    this.refresh();
  }

  async be(person) {
    let answer;
    try {
      answer = await this.#link.ask("be", { person });
    } catch (error) {
      if (person === FIRST_PERSON) throw error;
      return this.be(FIRST_PERSON);
    }
    sessionStorage.setItem("person", person);
    this.store.load(answer.snapshot);
    document.querySelectorAll("dialog.modal").forEach((dialog) => dialog.remove());
    this.store.modals.forEach((view) => modal(view, this));
    this.#goToHash();
    return undefined;
  }

  #goToHash() {
    const [wanted, thread] = (location.hash || findMessage(location.href)).slice(1).split("/");
    const known = this.store.channels.get(wanted) ? wanted : [...this.store.channels.keys()][0];
    const target = thread && this.store.get(known, thread);
    const same = known === this.channel;
    this.channel = known;
    this.thread = target ? target.root : null;
    if (!same) this.tab = "messages";
    this.store.unread.delete(known);
    this.refresh();
  }

  open(channel) {
    at("workspace").classList.remove("menu-open");
    const before = this.store.channels.get(this.channel);
    const lookedAt = before && !this.store.isDirect(before) ? before.id : undefined;
    this.#go(channel, null);
    this.#composer.focus();
    if (this.store.isWithBot(this.store.channels.get(channel))) this.#link.ask("home", { tab: this.tab, channel: lookedAt }).catch(() => {});
  }

  openThread(channel, root, focus = false) {
    this.#go(channel, root);
    if (focus) this.#threadComposer.focus();
  }

  closeThread() {
    this.#go(this.channel, null);
    this.#composer.focus();
  }

  #go(channel, thread) {
    const hash = thread ? `#${channel}/${thread}` : `#${channel}`;
    if (location.hash === hash) this.#goToHash();
    else location.hash = hash;
    this.#goToHash();
  }

  focusComposer(inThread) {
    (inThread ? this.#threadComposer : this.#composer).focus();
  }

  toggleMenu() {
    at("workspace").classList.toggle("menu-open");
  }

  showTab(tab) {
    this.tab = tab;
    this.#link.ask("home", { tab }).catch(() => {});
    this.refresh();
  }

  // ── Actions of people ─────────────────────────────────────────────────────────────────────────────────────────────────

  async send(channel, text, thread, files = []) {
    if (text.startsWith("/") && !files.length) {
      await this.#link.ask("command", { channel, text: text.trim() });
      return;
    }
    const { ts } = await this.#link.ask("say", { channel, text, thread_ts: thread, files });
    const room = this.store.channels.get(channel);
    if (!thread && (this.store.isWithBot(room) || (/@kvasir/i.test(text) && room.members.includes(this.store.bot)))) {
      if (this.channel === channel) this.openThread(channel, ts);
    }
  }

  edit(message, text) {
    return this.#link.ask("edit", { channel: message.channel, ts: message.ts, text });
  }

  remove(message) {
    return this.#link.ask("delete", { channel: message.channel, ts: message.ts });
  }

  react(message, name, add) {
    return this.#link.ask("react", { channel: message.channel, ts: message.ts, name, remove: !add }).catch(() => {});
  }

  press(message, action) {
    return this.#link.ask("press", { channel: message.channel, ts: message.ts, ...action });
  }

  pressInView(view, action) {
    return this.#link.ask("press", { view_id: view.id, ...action });
  }

  runShortcut(shortcut, message = null) {
    const place = message ? { channel: message.channel, ts: message.ts } : {};
    return this.#link.ask("shortcut", { callback_id: shortcut.callback_id, ...place }).catch(() => {});
  }

  submit(view, values) {
    return this.#link.ask("submit", { view_id: view.id, values });
  }

  closeView(view) {
    return this.#link.ask("close", { view_id: view.id });
  }

  dismiss(message) {
    this.store.dismiss(message);
    this.refresh();
  }

  editLast(channel, thread) {
    const shown = thread ? [this.store.get(channel, thread), ...this.store.replies(channel, thread)] : this.store.roots(channel);
    const mine = shown.filter((message) => message?.user === this.store.me && !message.ephemeral && message.subtype !== "tombstone");
    if (mine.length) (thread ? this.#side : this.#main).edit(mine.at(-1));
  }

  #key(event) {
    if (document.querySelector("dialog[open]")) return; // it handles its own keys
    if (event.key === "Escape" && this.thread) this.closeThread();
    else if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      const order = [...document.querySelectorAll("[data-channel]")].map((button) => button.dataset.channel);
      const step = event.key === "ArrowDown" ? 1 : order.length - 1;
      this.open(order[(order.indexOf(this.channel) + step) % order.length]);
    } else return;
    event.preventDefault();
  }

  // ── Events of the workspace ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  #take(news) {
    const { store } = this;
    if (news.type === "message") this.#message(news.message);
    else if (news.type === "gone") store.remove(news.channel, news.ts);
    else if (news.type === "session") store.sessions.set(`${news.session.channel}/${news.session.thread_ts}`, news.session);
    else if (news.type === "status") store.status = news;
    else if (news.type === "channel") this.#channel(news);
    else if (news.type === "channel_gone") this.#gone(news.id);
    else if (news.type === "person") store.people.set(news.person.id, news.person);
    else if (news.type === "view_closed") this.#closed(news.id);
    else if (news.type === "view") this.#view(news.view);
    this.refresh();
  }

  #message(message) {
    const before = this.store.get(message.channel, message.ts);
    const isNew = this.store.put(message);
    const elsewhere = message.channel !== this.channel || document.hidden;
    if (isNew && elsewhere && message.user !== this.store.me) {
      this.store.unread.set(message.channel, (this.store.unread.get(message.channel) ?? 0) + 1);
    }
    const ended = before?.stream === "streaming" && message.stream !== "streaming";
    const said = (isNew && !message.stream) || ended;
    if (said && message.user !== this.store.me && message.channel === this.channel) this.#announce(message);
  }

  // A new conversation comes without its messages, so everything is loaded again.
  #channel({ channel, members }) {
    const known = this.store.channels.get(channel.id);
    if (known) this.store.channels.set(channel.id, { ...known, ...channel, user: known.user, members });
    else this.be(this.store.me);
  }

  #gone(id) {
    this.store.channels.delete(id);
    this.store.messages.delete(id);
    if (this.channel === id) this.#goToHash();
  }

  #announce(message) {
    at("announcer").textContent = `${this.store.author(message)?.real_name ?? ""}: ${plainText(message, this.store)}`;
  }

  #view(view) {
    if (view.type === "home") this.store.home = view;
    else {
      this.store.modals.set(view.id, view);
      modal(view, this);
    }
  }

  #closed(id) {
    this.store.modals.delete(id);
    document.getElementById(id)?.remove();
  }

  // ── Drawing ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Draw once more in the next animation frame. */
  refresh() {
    if (this.#drawing) return;
    this.#drawing = true;
    queueMicrotask(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  #draw() {
    const { store } = this;
    redraw(at("strip"), store.status, () => strip(at("strip"), this));
    if (!store.me) return;
    redraw(at("sidebar"), [store.me, this.channel, [...store.channels], [...store.unread], [...store.people.values()].map(roleOf)], () => sidebar(at("sidebar"), this));
    const room = this.store.channels.get(this.channel);
    redraw(at("room-header"), [room, this.tab, store.me], () => this.#drawHeader(room));
    this.#drawRoom(room);
    this.#drawThread(room);
    document.title = `${this.#title(room, "")} · Kvasir sandbox`;
  }

  #title(room, space = " ") {
    const name = this.store.nameOf(room);
    return this.store.isDirect(room) || room.is_private ? name : `#${space}${name}`;
  }

  #drawHeader(room) {
    const sign = room.is_private && !room.is_mpim ? [icon("lock", 15), " "] : null;
    const other = this.store.person(room.user);
    const topic = room.is_im ? [other?.title, roleOf(other)].filter(Boolean).join(" · ") : room.topic?.value;
    const tab = (id, label) => h("button", { type: "button", role: "tab", "aria-selected": String(this.tab === id), onclick: () => this.showTab(id) }, label);
    const tabs = this.store.isWithBot(room) ? h("div", { class: "tabs", role: "tablist" }, tab("messages", "Messages"), tab("home", "Home")) : null;
    const count = room.is_im ? null : h("span", { class: "topic" }, `${room.members.length} members`);
    fill(at("room-header"), h("h1", {}, sign, this.#title(room)), tabs, h("span", { class: "topic" }, topic), h("span", { class: "grow" }), count);
  }

  #drawRoom(room) {
    const isHome = this.tab === "home" && this.store.isWithBot(room);
    at("composer").hidden = isHome;
    at("log").classList.toggle("home", isHome);
    if (isHome) {
      this.#main.show("home", []);
      fill(at("log"), home(this));
      return;
    }
    const messages = this.store.roots(room.id);
    const lost = this.#lost ? h("div", { class: "lost", role: "status" }, "The connection was lost. Trying again…") : null;
    const older = room.more ? h("button", { type: "button", class: "button older", onclick: () => this.#older(room, messages) }, "Older messages") : null;
    const bottom = lost ?? (messages.length && this.store.isWithBot(room) ? this.#prompts(room) : null);
    this.#main.show(room.id, messages, { top: messages.length ? older : this.#welcome(room), bottom });
    this.#composer.at(room.id, null, this.#invitation(room));
  }

  #invitation(room) {
    const name = this.store.nameOf(room);
    if (this.store.isWithBot(room)) return "Ask Kvasir";
    if (this.store.isDirect(room)) return `Message ${name}`;
    return room.members.includes(this.store.bot) ? `Message #${name}, or ask @Kvasir` : `Message #${name}`;
  }

  async #older(room, messages) {
    const { messages: found, more } = await this.#link.ask("history", { channel: room.id, before: messages[0].ts });
    found.forEach((message) => this.store.put(message));
    room.more = more;
    this.refresh();
  }

  #prompts(room) {
    const prompts = this.store.sessions.get(`${room.id}/`)?.prompts ?? [];
    const chip = (prompt) => h("button", { type: "button", class: "chip", title: prompt.message, onclick: () => this.send(room.id, prompt.message, null) }, prompt.title);
    return prompts.length ? h("div", { class: "chips prompts", role: "group", "aria-label": "Suggested prompts" }, prompts.map(chip)) : null;
  }

  #welcome(room) {
    const here = room.members.includes(this.store.bot);
    const prompts = this.store.isWithBot(room) ? this.#prompts(room) : null;
    const general = isMember(this.store.person(this.store.me)) ? this.store.status.status?.suggestions ?? [] : [];
    const suggestions = !here || prompts ? [] : general;
    const chip = (question) => h("button", { type: "button", class: "chip", onclick: () => this.send(room.id, `@Kvasir ${question}`, null) },
      h("span", { class: "at" }, "@Kvasir"), question);
    const title = this.store.isWithBot(room) ? "Ask Kvasir anything about the documents" : this.store.isDirect(room) ? `You and ${this.store.nameOf(room)}` : `Welcome to #${room.name}`;
    const hint = !here ? "There are no messages yet."
      : prompts || suggestions.length ? "Kvasir answers from the documents and names its sources. Try one of these:"
      : "Mention @Kvasir with a question. It answers from the documents, in a thread.";
    return h("div", { class: "welcome" }, h("img", { src: "/page/kvasir.svg", alt: "" }), h("h2", {}, title), h("p", {}, hint),
      prompts ?? h("div", { class: "chips" }, suggestions.map(chip)), this.#meanwhile(here));
  }

  #meanwhile(here) {
    const waiting = here && WAITING.has(this.store.status.status?.engine?.state);
    return waiting ? h("p", { class: "meanwhile" }, "The engine is not ready yet. Until then, Kvasir shows extracts of the best passages.") : null;
  }

  #drawThread(room) {
    const root = this.thread && this.store.get(room.id, this.thread);
    at("thread").hidden = !root;
    at("workspace").classList.toggle("with-thread", Boolean(root));
    if (!root) return;
    const session = this.store.session(room.id, root.ts);
    const title = this.store.sessions.get(`${room.id}/${root.ts}`)?.title || this.#title(room);
    redraw(at("thread-header"), title, () => fill(at("thread-header"), h("h1", {}, "Thread"), h("span", { class: "topic" }, title),
      h("span", { class: "grow" }), iconButton("close", "Close thread", () => this.closeThread())));
    const replies = this.store.replies(room.id, root.ts);
    const count = this.store.publicReplies(room.id, root.ts).length;
    const line = count ? h("div", { class: "thread-line" }, count === 1 ? "1 reply" : `${count} replies`) : null;
    this.#side.show(`${room.id}/${root.ts}`, [root, ...replies], { line, bottom: session ? this.working(session) : null });
    const inside = room.members.includes(this.store.bot);
    this.#threadComposer.at(room.id, root.ts, inside ? "Reply, or ask a follow-up" : "Reply");
  }

  /** Return the line that says that the app is working, with its Stop button. */
  working(session) {
    const words = session.text ? `Kvasir ${session.text}` : "Kvasir is working…";
    const stop = () => this.#link.ask("stop", { channel: session.channel, thread_ts: session.thread_ts });
    return h("div", { class: "working", role: "status" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), words,
      h("button", { type: "button", class: "button", onclick: stop }, icon("stop", 12), " Stop"));
  }
}

new Page().start();
