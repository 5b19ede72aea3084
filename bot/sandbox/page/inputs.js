// Elements in which a person enters or chooses something, and what Slack sends of them.

import { h } from "./dom.js";

const OTHER = new Set(["USLACKBOT"]);

/** Make the field of an element. `read()` of the result returns the element's state as Slack words it; null if the type is unknown. */
export function makeInput(item, store) {
  const make = MAKERS[item.type];
  if (!make) return null;
  const { node, read } = make(item, store);
  return { node, read: () => ({ type: item.type, ...read() }) };
}

const label = (item) => item.placeholder?.text ?? "";

function text(item) {
  const node = h(item.multiline ? "textarea" : "input", {
    value: item.initial_value ?? "", placeholder: label(item), maxLength: item.max_length ?? undefined, rows: item.multiline ? 4 : undefined,
    type: item.multiline ? undefined : item.type === "number_input" ? "number" : "text",
    step: item.is_decimal_allowed ? "any" : undefined, min: item.min_value, max: item.max_value,
  });
  return { node, read: () => ({ value: node.value || null }) };
}

function date(item) {
  const node = h("input", { type: "date", value: item.initial_date ?? "" });
  return { node, read: () => ({ selected_date: node.value || null }) };
}

function optionsOf(item) {
  return item.options ?? (item.option_groups ?? []).flatMap((group) => group.options);
}

const sent = (option) => ({ text: option.text, value: option.value });

function menu(item, choices, initial, name, several, groups = []) {
  const first = several ? null : h("option", { value: "", disabled: initial.length > 0 }, label(item) || "Choose…");
  const left = choices.map(([value, shown]) => h("option", { value, selected: initial.includes(value) }, shown));
  const grouped = groups.map((group) => h("optgroup", { label: group.label.text }, left.splice(0, group.options.length)));
  const node = h("select", { multiple: several, size: several ? Math.min(6, Math.max(2, choices.length)) : undefined },
    first, grouped, left);
  const chosen = () => [...node.selectedOptions].map((option) => option.value).filter(Boolean);
  return { node, read: () => ({ [name]: several ? chosen() : chosen()[0] ?? null }) };
}

function staticMenu(item, several) {
  const options = optionsOf(item);
  const initial = (several ? item.initial_options ?? [] : [item.initial_option]).filter(Boolean).map((option) => option.value);
  const made = menu(item, options.map((option) => [option.value, option.text.text]), initial, "value", several, item.option_groups);
  const found = (value) => sent(options.find((option) => option.value === value));
  return {
    node: made.node,
    read: () => {
      const { value } = made.read();
      return several ? { selected_options: value.map(found) } : { selected_option: value === null ? null : found(value) };
    },
  };
}

function boxes(item, several) {
  const initial = (several ? item.initial_options ?? [] : [item.initial_option]).filter(Boolean).map((option) => option.value);
  const name = `choice-${Math.random().toString(36).slice(2)}`;
  const node = h("div", { class: "boxes", role: "group" }, optionsOf(item).map((option) => h("label", { class: "box" },
    h("input", { type: several ? "checkbox" : "radio", name, value: option.value, checked: initial.includes(option.value) }),
    h("span", {}, option.text.text.replace(/[*_]/g, ""), option.description ? h("span", { class: "hint" }, ` ${option.description.text}`) : null))));
  const chosen = () => [...node.querySelectorAll(":checked")].map((box) => sent(optionsOf(item).find((option) => option.value === box.value)));
  return { node, read: () => (several ? { selected_options: chosen() } : { selected_option: chosen()[0] ?? null }) };
}

function people(item, store, several) {
  const choices = [...store.people.values()].filter((person) => !OTHER.has(person.id) && !person.is_bot).map((person) => [person.id, person.real_name]);
  const initial = several ? item.initial_users ?? [] : [item.initial_user].filter(Boolean);
  return menu(item, choices, initial, several ? "selected_users" : "selected_user", several);
}

function rooms(item, store, { several = false, name = "selected_conversation" } = {}) {
  const include = item.filter?.include ?? ["public", "private"];
  const known = [...store.channels.values()].filter((room) => !store.isDirect(room) && include.includes(room.is_private ? "private" : "public"));
  const initial = several ? item.initial_conversations ?? [] : [item.initial_conversation ?? item.initial_channel].filter(Boolean);
  return menu(item, known.map((room) => [room.id, `#${room.name}`]), initial, name, several);
}

function overflow(item) {
  return staticMenu({ ...item, placeholder: { text: "More…" } }, false);
}

const MAKERS = {
  plain_text_input: text,
  number_input: text,
  datepicker: date,
  static_select: (item) => staticMenu(item, false),
  multi_static_select: (item) => staticMenu(item, true),
  overflow,
  radio_buttons: (item) => boxes(item, false),
  checkboxes: (item) => boxes(item, true),
  users_select: (item, store) => people(item, store, false),
  multi_users_select: (item, store) => people(item, store, true),
  conversations_select: (item, store) => rooms(item, store),
  multi_conversations_select: (item, store) => rooms(item, store, { several: true, name: "selected_conversations" }),
  channels_select: (item, store) => rooms(item, store, { name: "selected_channel" }),
};
