// The app's Home and modals.

import { h } from "./dom.js";
import { blocks } from "./blocks.js";

export function home(page) {
  const view = page.store.home;
  if (!view) {
    return h("div", { class: "welcome" }, h("img", { src: "/page/kvasir.svg", alt: "" }), h("h2", {}, "Nothing here yet"),
      h("p", {}, "Kvasir has not published a Home for you yet. Ask it something under Messages."));
  }
  return blocks(view.blocks, { store: page.store, press: (action) => page.pressInView(view, action) });
}

/** Open a modal, or redraw the one that is open. */
export function modal(view, page) {
  document.getElementById(view.id)?.remove();
  const context = { store: page.store, press: (action) => page.pressInView(view, action) };
  const form = h("form", { method: "dialog" },
    h("h2", {}, view.title.text), blocks(view.blocks, context),
    Object.values(view.errors ?? {}).map((error) => h("p", { class: "field" }, h("span", { class: "error", role: "alert" }, error))),
    h("footer", {},
      h("button", { type: "button", class: "button", onclick: () => page.closeView(view) }, view.close?.text ?? "Close"),
      view.submit ? h("button", { type: "submit", class: "button primary" }, view.submit.text) : null));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    page.submit(view, values(form));
  });
  const dialog = h("dialog", { id: view.id, class: "modal", "aria-label": view.title.text }, form);
  dialog.addEventListener("cancel", () => page.closeView(view));
  document.body.append(dialog);
  dialog.showModal();
}

function values(form) {
  const found = {};
  for (const field of form.querySelectorAll("[data-action]")) {
    const { action, kind } = field.dataset;
    const value = kind === "static_select"
      ? { type: kind, selected_option: { value: field.value, text: { type: "plain_text", text: field.selectedOptions[0]?.textContent ?? "" } } }
      : { type: kind, value: field.value };
    found[field.name] = { [action]: value };
  }
  return found;
}
