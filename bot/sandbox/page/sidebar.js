// The list of conversations, and the choice of the person.

import { avatar, fill, h, icon } from "./dom.js";
import { roleOf } from "./store.js";

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
  const named = channels.filter((channel) => !store.isDirect(channel));
  const direct = channels.filter((channel) => store.isDirect(channel));
  const withBot = direct.filter((channel) => store.isWithBot(channel));
  const withPeople = direct.filter((channel) => !store.isWithBot(channel));
  const face = (channel) => channel.is_mpim
    ? h("span", { class: "hash" }, channel.members.length - 1)
    : avatar(store.person(channel.user), true);
  const sign = (channel) => channel.is_private
    ? h("span", { class: "hash", title: "Private channel" }, icon("lock", 13))
    : h("span", { class: "hash" }, "#");
  fill(element,
    h("h2", { id: "rooms" }, "Channels"),
    h("ul", { "aria-labelledby": "rooms" }, named.map((channel) => room(channel, sign(channel)))),
    h("h2", { id: "apps" }, "Apps"),
    h("ul", { "aria-labelledby": "apps" }, withBot.map((channel) => room(channel, face(channel)))),
    withPeople.length ? h("h2", { id: "people" }, "People") : null,
    h("ul", { "aria-labelledby": "people" }, withPeople.map((channel) => room(channel, face(channel)))),
    me(page));
}

function me(page) {
  const { store } = page;
  const people = [...store.people.values()].filter((person) => !person.is_bot && !person.deleted);
  const label = (person) => [person.real_name, roleOf(person) && `(${roleOf(person)})`].filter(Boolean).join(" ");
  const select = h("select", { id: "you-are", onchange: (event) => page.be(event.target.value) },
    people.map((person) => h("option", { value: person.id, selected: person.id === store.me }, label(person))));
  return h("div", { class: "me" }, avatar(store.person(store.me)), h("label", {}, "You are", select));
}
