// What the page knows: a copy of what one person sees of the workspace.

export class Store {
  constructor() {
    this.me = null;
    this.bot = null;
    this.commands = [];
    this.people = new Map();
    this.channels = new Map();
    this.messages = new Map();
    this.sessions = new Map();
    this.unread = new Map();
    this.home = null;
    this.modals = new Map();
    this.status = { status: {}, connected: false };
    this.dismissed = new Set();
  }

  /** Take a snapshot: everything that there is for this person. */
  load(snapshot) {
    this.me = snapshot.me;
    this.bot = snapshot.bot;
    this.commands = snapshot.commands;
    this.people = new Map(snapshot.people.map((person) => [person.id, person]));
    this.channels = new Map(snapshot.channels.map((channel) => [channel.id, channel]));
    this.sessions = new Map(snapshot.sessions.map((session) => [`${session.channel}/${session.thread_ts}`, session]));
    this.messages = new Map();
    this.unread = new Map();
    this.home = snapshot.home;
    this.modals = new Map(snapshot.modals.map((view) => [view.id, view]));
    this.status = snapshot.status;
    snapshot.messages.forEach((message) => this.put(message));
  }

  /** Add a message, or put it in the place of its earlier version; tells whether it is new. */
  put(message) {
    if (!this.messages.has(message.channel)) this.messages.set(message.channel, new Map());
    const known = this.messages.get(message.channel);
    const isNew = !known.has(message.ts);
    known.set(message.ts, message);
    return isNew;
  }

  remove(channel, ts) {
    this.messages.get(channel)?.delete(ts);
  }

  get(channel, ts) {
    return this.messages.get(channel)?.get(ts);
  }

  #all(channel) {
    const found = [...(this.messages.get(channel)?.values() ?? [])];
    return found.filter((message) => !this.dismissed.has(message.ts)).sort((a, b) => (a.ts < b.ts ? -1 : 1));
  }

  /** The messages at the top level of a channel, oldest first. */
  roots(channel) {
    return this.#all(channel).filter((message) => message.root === message.ts);
  }

  /** The replies of a thread, oldest first. */
  replies(channel, root) {
    return this.#all(channel).filter((message) => message.root === root && message.ts !== root);
  }

  session(channel, root) {
    const session = this.sessions.get(`${channel}/${root}`);
    return session?.status === "processing" ? session : null;
  }

  person(id) {
    return this.people.get(id);
  }

  /** Who wrote a message: a person, or another app under its own name. */
  author(message) {
    const person = this.people.get(message.user);
    return message.username ? { ...person, id: message.user, real_name: message.username, is_bot: true } : person;
  }

  nameOf(channel) {
    return channel.is_im ? this.person(channel.user)?.real_name ?? "?" : channel.name;
  }

  isWithBot(channel) {
    return Boolean(channel?.is_im && channel.user === this.bot);
  }
}

/** The moment of a ts. */
export function moment(ts) {
  return new Date(Number.parseFloat(ts) * 1000);
}

export function clock(ts) {
  return moment(ts).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function day(ts) {
  const then = moment(ts);
  const today = new Date();
  if (then.toDateString() === today.toDateString()) return "Today";
  today.setDate(today.getDate() - 1);
  if (then.toDateString() === today.toDateString()) return "Yesterday";
  return then.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}
