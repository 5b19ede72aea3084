// The strip at the top: is the app connected, how far is the engine, what does it know.

import { fill, h, iconButton } from "./dom.js";

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
    trouble ? h("span", { class: "note", role: "alert" }, trouble) : null);
}

function fact(dot, ...parts) {
  return h("span", { class: "fact" }, h("span", { class: `dot ${dot}`, "aria-hidden": "true" }), parts);
}

function engine(told) {
  const words = WORDS[told.state] ?? told.state;
  const waiting = WAITING.has(told.state);
  const known = typeof told.progress === "number";
  const bar = waiting && told.state !== "absent"
    ? h("progress", { "aria-label": "Engine progress", max: 1, ...(known ? { value: told.progress } : {}) })
    : null;
  const shown = fact(DOTS[told.state] ?? "busy", h("span", {}, "Engine ", h("strong", {}, words)), bar,
    bar && known ? h("span", {}, `${Math.round(told.progress * 100)} %`) : null,
    told.state === "ready" && told.model ? h("span", { class: "detail", title: told.model }, told.model) : null,
    told.small_model ? h("span", { class: "pill", title: "A small model on the CPU, not an R1" }, "small model") : null,
    told.detail && told.state === "ready" ? h("span", { class: "pill", title: told.detail }, "note") : null,
    told.detail && waiting ? h("span", { class: "detail", title: told.detail }, told.detail) : null);
  shown.classList.add("engine");
  return shown;
}

function knowledge(told) {
  const count = (n, one, many) => `${n.toLocaleString()} ${n === 1 ? one : many}`;
  const words = `${count(told.documents ?? 0, "document", "documents")} · ${count(told.chunks ?? 0, "passage", "passages")}`;
  const troubles = told.troubles ?? [];
  const known = typeof told.progress === "number";
  const shown = fact(told.running ? "busy" : troubles.length ? "bad" : "good", h("span", {}, words),
    told.running ? h("progress", { "aria-label": "Reading progress", max: 1, ...(known ? { value: told.progress } : {}) }) : null,
    told.running ? h("span", {}, known ? `${Math.round(told.progress * 100)} %` : "reading…") : null,
    told.held ? pill(count(told.held, "document held", "documents held"), troubles) : null,
    told.failed ? pill(count(told.failed, "document unread", "documents unread"), troubles) : null,
    troubles.length && !told.held && !told.failed ? pill("look at /kb status", troubles) : null);
  shown.classList.add("knowledge");
  return shown;
}

function pill(words, troubles) {
  return h("span", { class: "pill warn", title: troubles.join("\n") }, words);
}
