// The list of conversations, and the choice of the person.

import { avatar, fill, h } from "./dom.js";

export function sidebar(element, page) {
  const { store } = page;
  const channels = [...store.channels.values()];
  const room = (channel, mark) => {
    const unread = store.unread.get(channel.id) ?? 0;
    const current = page.channel === channel.id;
    return h("li", {}, h("button", {
      type: "button", class: unread ? "room unread" : "room", "aria-current": String(current), data: { channel: channel.id },
      onclick: () => page.open(channel.id),
    }, mark, h("span", { class: "name" }, store.nameOf(channel)),
      unread ? h("span", { class: "badge", "aria-label": `${unread} unread` }, unread) : null));
  };
  const direct = channels.filter((channel) => channel.is_im);
  const withBot = direct.filter((channel) => store.isWithBot(channel));
  const withPeople = direct.filter((channel) => !store.isWithBot(channel));
  const face = (channel) => avatar(store.person(channel.user), true);
  fill(element,
    h("h2", { id: "rooms" }, "Channels"),
    h("ul", { "aria-labelledby": "rooms" }, channels.filter((channel) => !channel.is_im).map((channel) => room(channel, h("span", { class: "hash" }, "#")))),
    h("h2", { id: "apps" }, "Apps"),
    h("ul", { "aria-labelledby": "apps" }, withBot.map((channel) => room(channel, face(channel)))),
    h("h2", { id: "people" }, "People"),
    h("ul", { "aria-labelledby": "people" }, withPeople.map((channel) => room(channel, face(channel)))),
    me(page));
}

function me(page) {
  const { store } = page;
  const people = [...store.people.values()].filter((person) => !person.is_bot);
  const select = h("select", { id: "you-are", onchange: (event) => page.be(event.target.value) },
    people.map((person) => h("option", { value: person.id, selected: person.id === store.me }, person.real_name)));
  return h("div", { class: "me" }, avatar(store.person(store.me)), h("label", {}, "You are", select));
}
