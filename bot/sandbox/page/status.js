// The strip at the top: the connection of the app, the state of the engine, and the documents.

import { fill, h, iconButton } from "./dom.js";
import { markdownLine } from "./inline.js";

export const WAITING = new Set(["absent", "installing", "downloading", "starting", "stopping"]);
const WORDS = {
  absent: "not running", installing: "installing", downloading: "downloading", starting: "starting",
  ready: "ready", degraded: "degraded", stopping: "stopping", failed: "failed",
};
const DOTS = { ready: "good", degraded: "busy", failed: "bad" };

export function strip(element, page) {
  const { status, connected } = page.store.status;
  const trouble = ["failed", "degraded"].includes(status?.engine?.state) ? status.engine.detail : "";
  element.classList.toggle("with-note", Boolean(trouble));
  fill(element,
    iconButton("menu", "Conversations", () => page.toggleMenu(), { class: "icon menu-toggle" }),
    h("span", { class: "brand" }, h("img", { src: "/page/kvasir.svg", alt: "" }), "Kvasir sandbox"),
    fact(connected ? "good" : "bad", connected ? "Bot connected" : "Bot not connected"),
    status?.engine ? engine(status.engine) : null,
    h("span", { class: "grow" }),
    status?.knowledge ? knowledge(status.knowledge) : null,
    trouble ? h("span", { class: "note", role: "alert" }, markdownLine(trouble, page.store)) : null);
}

function fact(dot, ...parts) {
  return h("span", { class: "fact" }, h("span", { class: `dot ${dot}`, "aria-hidden": "true" }), parts);
}

function engine(status) {
  const words = WORDS[status.state] ?? status.state;
  const waiting = WAITING.has(status.state);
  const known = typeof status.progress === "number";
  const bar = waiting && status.state !== "absent"
    ? h("progress", { "aria-label": "Engine progress", max: 1, ...(known ? { value: status.progress } : {}) })
    : null;
  const shown = fact(DOTS[status.state] ?? "busy", h("span", {}, "Engine ", h("strong", {}, words)), bar,
    bar && known ? h("span", {}, `${Math.round(status.progress * 100)} %`) : null,
    status.state === "ready" && status.model ? h("span", { class: "detail", title: status.model }, status.model) : null,
    status.small_model ? h("span", { class: "pill", title: "A small model on the CPU, not an R1" }, "small model") : null,
    status.detail && status.state === "ready" ? h("span", { class: "pill", title: status.detail }, "note") : null,
    status.detail && waiting ? h("span", { class: "detail", title: status.detail }, status.detail) : null);
  shown.classList.add("engine");
  return shown;
}

function knowledge(status) {
  const count = (n, one, many) => `${n.toLocaleString()} ${n === 1 ? one : many}`;
  const words = `${count(status.documents ?? 0, "document", "documents")} · ${count(status.chunks ?? 0, "passage", "passages")}`;
  const troubles = status.troubles ?? [];
  const known = typeof status.progress === "number";
  const shown = fact(status.running ? "busy" : troubles.length ? "bad" : "good", h("span", {}, words),
    status.running ? h("progress", { "aria-label": "Reading progress", max: 1, ...(known ? { value: status.progress } : {}) }) : null,
    status.running ? h("span", {}, known ? `${Math.round(status.progress * 100)} %` : "reading…") : null,
    status.held ? pill(count(status.held, "pending deletion", "pending deletions"), troubles) : null,
    status.failed ? pill(count(status.failed, "unreadable document", "unreadable documents"), troubles) : null,
    troubles.length && !status.held && !status.failed ? pill("see /kb status", troubles) : null);
  shown.classList.add("knowledge");
  return shown;
}

function pill(words, troubles) {
  return h("span", { class: "pill warn", title: troubles.join("\n") }, words);
}
