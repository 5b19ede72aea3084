// A menu of actions at a button: arrow keys choose, Enter runs, Escape closes.

import { h } from "./dom.js";

/** Open a menu with entries of a label and a function. */
export function openMenu(button, entries) {
  const close = () => {
    dialog.remove();
    button.focus();
  };
  const items = entries.map(([label, run]) => h("button", { type: "button", role: "menuitem", onclick: () => {
    close();
    run();
  } }, label));
  const dialog = h("dialog", { class: "menu" }, h("div", { role: "menu", "aria-label": button.getAttribute("aria-label") }, items));
  dialog.addEventListener("cancel", close);
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: items.length - 1 }[event.key];
    if (step === undefined) return;
    items[(items.indexOf(document.activeElement) + step) % items.length].focus();
    event.preventDefault();
  });
  document.body.append(dialog);
  dialog.showModal();
  const { left, top } = button.getBoundingClientRect();
  const { offsetWidth, offsetHeight } = dialog;
  dialog.style.left = `${Math.max(8, Math.min(left, innerWidth - offsetWidth - 8))}px`;
  dialog.style.top = `${Math.max(8, Math.min(top - offsetHeight - 6, innerHeight - offsetHeight - 8))}px`;
}
