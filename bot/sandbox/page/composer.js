// The message box: Enter sends; "@" suggests people and "/" suggests commands. Files are chosen, dropped or pasted.

import { avatar, fill, h, icon, iconButton } from "./dom.js";
import { openMenu } from "./menu.js";

const COMMANDS = [
  ["/ask ", "Ask Kvasir; only you see the answer"],
  ["/kb help", "Show what Kvasir can do"],
  ["/kb status", "Show the state of the engine and the sources"],
  ["/kb sources", "Show where the documents come from"],
  ["/kb search ", "Find passages without an answer"],
  ["/kb refresh", "Read all sources again, or one"],
  ["/think ", "Choose how long Kvasir thinks for you: deep, normal, off"],
  ["/invite @kvasir", "Add Kvasir, or somebody, to this channel"],
  ["/remove @", "Remove somebody from this channel"],
];
const DRAFTS = new Map();

export class Composer {
  #page;
  #input;
  #list;
  #send;
  #choices = [];
  #chosen = 0;
  #place = null;
  #start = 0;
  #files = [];
  #attached = h("div", { class: "attached", hidden: true });

  constructor(element, page, id) {
    this.#page = page;
    this.#input = h("textarea", {
      id: `${id}-input`, rows: 1, autocomplete: "off", role: "combobox",
      "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-choices`,
    });
    this.#list = h("ul", { class: "choices", id: `${id}-choices`, role: "listbox", "aria-label": "Suggestions", hidden: true });
    this.#send = h("button", { class: "send", type: "submit", title: "Send (Enter)", "aria-label": "Send", disabled: true }, icon("send"));
    const picker = h("input", { type: "file", multiple: true, hidden: true, onchange: () => this.#pick(picker) });
    const tools = [
      iconButton("clip", "Attach files", () => picker.click()),
      iconButton("bolt", "Shortcuts", (event) => this.#offerShortcuts(event.currentTarget)),
    ];
    const form = h("form", {}, tools, picker, this.#input, this.#send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#input.addEventListener("input", () => this.#changed());
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#input.addEventListener("blur", () => setTimeout(() => this.#offer([]), 120));
    element.append(this.#list, this.#attached, form);
    this.#takeDrops(element.parentElement, element);
  }

  /** Switch to another conversation; each one keeps its own draft. */
  at(channel, thread, label) {
    const place = `${channel}/${thread ?? ""}`;
    this.#input.placeholder = label;
    this.#input.setAttribute("aria-label", label);
    if (this.#place?.key === place) return;
    if (this.#place) DRAFTS.set(this.#place.key, this.#input.value);
    this.#place = { key: place, channel, thread };
    this.#input.value = DRAFTS.get(place) ?? "";
    this.#changed();
    this.#offer([]);
  }

  focus() {
    this.#input.focus();
  }

  async #submit() {
    const text = this.#input.value;
    const files = this.#files;
    if (!text.trim() && !files.length) return;
    this.#input.value = "";
    this.#setFiles([]);
    try {
      await this.#page.send(this.#place.channel, text, this.#place.thread, files);
    } catch {
      if (!this.#input.value) this.#input.value = text;
      this.#setFiles(files);
    }
  }

  async #pick(picker) {
    await this.#attach(picker.files);
    picker.value = "";
  }

  async #attach(files) {
    const read = async (file) => ({ name: file.name, base64: await base64(file) });
    const added = await Promise.all([...files].map(read));
    this.#setFiles([...this.#files, ...added]);
    this.focus();
  }

  // Files may be dropped anywhere on the pane of the conversation; without this, the browser would leave the page.
  #takeDrops(pane, box) {
    const mark = (event, over) => {
      if (box.hidden || !event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      pane.classList.toggle("dropping", over);
    };
    pane.addEventListener("dragover", (event) => mark(event, true));
    pane.addEventListener("dragleave", (event) => mark(event, false));
    pane.addEventListener("drop", (event) => {
      mark(event, false);
      if (!box.hidden && event.dataTransfer.files.length) this.#attach(event.dataTransfer.files);
    });
    this.#input.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.#attach(event.clipboardData.files);
    });
  }

  #setFiles(files) {
    this.#files = files;
    this.#attached.hidden = files.length === 0;
    fill(this.#attached, files.map((file) => h("span", { class: "file" }, file.name,
      iconButton("close", `Remove ${file.name}`, () => this.#setFiles(files.filter((other) => other !== file))))));
    this.#changed();
  }

  #offerShortcuts(button) {
    const shortcuts = this.#page.store.shortcuts.filter((shortcut) => shortcut.kind === "global");
    openMenu(button, shortcuts.map((shortcut) => [shortcut.name, () => this.#page.runShortcut(shortcut)]));
  }

  #changed() {
    this.#input.style.height = "auto";
    this.#input.style.height = `${Math.min(this.#input.scrollHeight, 180)}px`;
    this.#send.disabled = !this.#input.value.trim() && !this.#files.length;
    const before = this.#input.value.slice(0, this.#input.selectionStart);
    const mention = /(?:^|[^\w@])@([\w.-]*)$/.exec(before);
    const command = /^\/[^\n]*$/.exec(before);
    if (mention) this.#offer(this.#people(mention[1]), before.length - mention[1].length - 1);
    else if (command) this.#offer(this.#commands(before), 0);
    else this.#offer([]);
  }

  #people(begun) {
    const { store } = this.#page;
    const wanted = begun.toLowerCase();
    const people = [...store.people.values()].filter((person) => person.id !== "USLACKBOT" && person.id !== store.me);
    const fits = (person) => person.name.startsWith(wanted) || person.real_name.toLowerCase().includes(wanted);
    return people.filter(fits).sort((a, b) => b.is_bot - a.is_bot).slice(0, 6).map((person) => ({
      text: `@${person.id === store.bot ? person.real_name : person.name} `,
      nodes: [avatar(person, true), h("strong", {}, person.real_name), h("span", { class: "hint" }, `@${person.name}`)],
    }));
  }

  #commands(begun) {
    const fits = COMMANDS.filter(([text]) => text.startsWith(begun) && text.trim() !== begun.trim());
    return fits.map(([text, hint]) => ({ text, nodes: [h("code", {}, text.trim()), h("span", { class: "hint" }, hint)] }));
  }

  #offer(choices, start = 0) {
    this.#choices = choices;
    this.#chosen = 0;
    this.#start = start;
    this.#list.hidden = choices.length === 0;
    this.#input.setAttribute("aria-expanded", String(choices.length > 0));
    fill(this.#list, choices.map((choice, n) => h("li", {
      role: "option", id: `${this.#list.id}-${n}`, onmousedown: (event) => {
        event.preventDefault();
        this.#take(n);
      },
    }, choice.nodes)));
    this.#mark();
  }

  #mark() {
    [...this.#list.children].forEach((item, n) => item.setAttribute("aria-selected", String(n === this.#chosen)));
    if (this.#choices.length) this.#input.setAttribute("aria-activedescendant", `${this.#list.id}-${this.#chosen}`);
    else this.#input.removeAttribute("aria-activedescendant");
  }

  #take(n) {
    const { text } = this.#choices[n];
    const after = this.#input.value.slice(this.#input.selectionStart).replace(/^ /, "");
    this.#input.value = this.#input.value.slice(0, this.#start) + text + after;
    const at = this.#start + text.length;
    this.#input.setSelectionRange(at, at);
    this.#changed();
  }

  #key(event) {
    if (event.isComposing) return;
    const offered = this.#choices.length;
    if (offered && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      this.#chosen = (this.#chosen + (event.key === "ArrowDown" ? 1 : offered - 1)) % offered;
      this.#mark();
    } else if (offered && (event.key === "Tab" || (event.key === "Enter" && !this.#exact()))) this.#take(this.#chosen);
    else if (offered && event.key === "Escape") this.#offer([]);
    else if (event.key === "Enter" && !event.shiftKey) this.#submit();
    else if (event.key === "ArrowUp" && !this.#input.value) this.#page.editLast(this.#place.channel, this.#place.thread);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Enter sends a complete command, even if longer commands begin with it.
  #exact() {
    return COMMANDS.some(([text]) => text.trim() === this.#input.value.trim());
  }
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
