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

/** Open a modal, or redraw the one that is open. */
export function modal(view, page) {
  document.getElementById(view.id)?.remove();
  const form = h("form", { method: "dialog" });
  const press = (action) => page.pressInView(view, { ...action, values: readValues(form) });
  const shown = blocks(view.blocks, { store: page.store, press, errors: view.errors });
  const elsewhere = Object.entries(view.errors ?? {}).filter(([id]) => !view.blocks.some((block) => block.block_id === id && block.type === "input"));
  form.append(h("h2", {}, view.title.text), shown,
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
  document.body.append(dialog);
  dialog.showModal();
}
