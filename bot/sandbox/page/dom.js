// Elements from data. Text always becomes text nodes: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: properties by name, `on…` listeners, `data`, `aria…`; children are nodes, strings or nothing. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element && !name.startsWith("aria") && name !== "role") element[name] = value;
    else element.setAttribute(name, value === true ? "true" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PATHS = {
  send: "M4 12l16-8-6 16-3-7z",
  close: "M6 6l12 12M18 6L6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  reply: "M20 15a3 3 0 0 1-3 3H9l-5 3V8a3 3 0 0 1 3-3h10a3 3 0 0 1 3 3z",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.5 14.5a4.5 4.5 0 0 0 7 0M9 9.5v.5M15 9.5v.5",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  up: "M7 11v9H4v-9zM7 12l4-8a2 2 0 0 1 2 2v4h5a2 2 0 0 1 2 2l-1.500 6a2 2 0 0 1-2 2H7",
  down: "M17 13V4h3v9zM17 12l-4 8a2 2 0 0 1-2-2v-4H6a2 2 0 0 1-2-2l1.500-6a2 2 0 0 1 2-2H17",
  bolt: "M13 3L5 14h6l-1 7 8-11h-6z",
  clip: "M20 11.500l-8 8a5 5 0 0 1-7-7l8.500-8.500a3.300 3.300 0 0 1 4.700 4.700L9.700 17.200a1.700 1.700 0 0 1-2.400-2.400l7.700-7.700",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  stop: "M8 8h8v8H8z",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
};

/** Make an icon. */
export function icon(name, size = 17) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor",
    "stroke-width": 1.9, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  })) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  if (name === "stop") path.setAttribute("fill", "currentColor");
  svg.append(path);
  return svg;
}

/** Make a button that shows an icon and has the accessible name `label`. */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon", title: label, "aria-label": label, onclick, ...props }, icon(name));
}

/** Give an element these children; children that it already has keep their place and focus. */
export function fill(element, ...children) {
  const wanted = children.flat(Infinity).filter(Boolean);
  const kept = new Set(wanted);
  for (const child of [...element.childNodes]) if (!kept.has(child)) child.remove();
  let next = element.firstChild;
  for (const child of wanted) {
    if (child === next) next = next.nextSibling;
    else element.insertBefore(typeof child === "string" ? document.createTextNode(child) : child, next);
  }
}

const drawn = new WeakMap();

/** Draw a region again if its content has changed; a focused element with an id or a channel keeps its focus. */
export function redraw(element, shown, draw) {
  const mark = JSON.stringify(shown);
  if (drawn.get(element) === mark) return;
  drawn.set(element, mark);
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  draw();
  if (!focused || element.contains(focused)) return;
  const same = focused.id ? `#${focused.id}` : focused.dataset.channel && `[data-channel="${focused.dataset.channel}"]`;
  if (same) element.querySelector(same)?.focus();
}

/** Make a person's avatar. */
export function avatar(person, small = false) {
  const size = small ? " small" : "";
  if (person?.id === "U0KVASIR01") {
    return h("span", { class: `avatar${size}`, "aria-hidden": "true" }, h("img", { src: "/page/kvasir.svg", alt: "" }));
  }
  const name = person?.real_name ?? "?";
  const initials = /^\p{Script=Han}/u.test(name)
    ? name.slice(0, 1)
    : name.split(/\s+/).map((part) => part[0]).slice(0, 2).join("").toUpperCase();
  const tone = [...(person?.id ?? "?")].reduce((sum, char) => (sum * 3 + char.codePointAt(0)) % 9973, 0) % 6;
  return h("span", { class: `avatar tone-${tone}${size}`, "aria-hidden": "true" }, initials);
}
