// The app's Home and modals.

import { h } from "./dom.js";
import { blocks, readValues } from "./blocks.js";

export function home(page) {
  const view = page.store.home;
  if (!view) {
    return h("div", { class: "welcome" }, h("img", { src: "/page/kvasir.svg", alt: "" }), h("h2", {}, "Nothing here yet"),
      h("p", {}, "Kvasir has not published a Home for you yet. Ask it something under Messages."));
  }
  return blocks(view.blocks, { store: page.store, press: (action) => page.pressInView(view, action) });
}

/** Copy what a person entered from one form into the same fields of another, as Slack does when an app updates a view. */
function keepEntered(before, form) {
  for (const old of before.querySelectorAll("[data-action]")) {
    const { block, action } = old.dataset;
    const node = form.querySelector(`[data-block="${CSS.escape(block)}"][data-action="${CSS.escape(action)}"]`);
    if (!node) continue;
    const chosen = [...(old.selectedOptions ?? old.querySelectorAll(":checked"))].map((one) => one.value);
    if (node.options) [...node.options].forEach((option) => (option.selected = chosen.includes(option.value)));
    else if ("value" in node) node.value = old.value;
    else node.querySelectorAll("input").forEach((box) => (box.checked = chosen.includes(box.value)));
  }
}

/** Return the selector of the field that a person is in, if it is one of a form's. */
function focusedField(form) {
  const { block, action } = (form.contains(document.activeElement) && document.activeElement.dataset) || {};
  return action ? `[data-block="${CSS.escape(block)}"][data-action="${CSS.escape(action)}"]` : null;
}

/** Open a modal, or redraw the one that is open. */
export function modal(view, page) {
  const before = document.getElementById(view.id);
  const form = h("form", { method: "dialog" });
  const press = (action) => page.pressInView(view, { ...action, values: readValues(form) });
  const shown = blocks(view.blocks, { store: page.store, press, errors: view.errors });
  const elsewhere = Object.entries(view.errors ?? {}).filter(([id]) => !view.blocks.some((block) => block.block_id === id && block.type === "input"));
  const heading = h("h2", { tabIndex: -1 }, view.title.text);
  form.append(heading, shown,
    ...elsewhere.map(([, error]) => h("p", { class: "field" }, h("span", { class: "error", role: "alert" }, error))),
    h("footer", {},
      h("button", { type: "button", class: "button", onclick: () => page.closeView(view) }, view.close?.text ?? "Close"),
      view.submit ? h("button", { type: "submit", class: "button primary" }, view.submit.text) : ""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    page.submit(view, readValues(form));
  });
  const dialog = h("dialog", { id: view.id, class: "modal", "aria-label": view.title.text }, form);
  dialog.addEventListener("cancel", () => page.closeView(view));
  const focused = before && focusedField(before);
  if (before) keepEntered(before, form);
  before?.remove();
  document.body.append(dialog);
  dialog.showModal();
  // Without a field, the browser would focus the button at the end and scroll a long text there.
  if (focused) form.querySelector(focused)?.focus();
  else if (!form.querySelector("input, select, textarea")) heading.focus();
}
