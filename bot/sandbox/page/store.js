// The page's data: a copy of the part of the workspace that one person sees.

export class Store {
  constructor() {
    this.me = null;
    this.bot = null;
    this.commands = [];
    this.shortcuts = [];
    this.people = new Map();
    this.channels = new Map();
    this.messages = new Map();
    this.sessions = new Map();
    this.unread = new Map();
    this.home = null;
    this.modals = new Map();
    this.status = { status: {}, connected: false };
    this.dismissed = new Set();
    this.index = new Map();
  }

  /** Load a snapshot of everything that this person sees. */
  load(snapshot) {
    this.me = snapshot.me;
    this.bot = snapshot.bot;
    this.commands = snapshot.commands;
    this.shortcuts = snapshot.shortcuts;
    this.people = new Map(snapshot.people.map((person) => [person.id, person]));
    this.channels = new Map(snapshot.channels.map((channel) => [channel.id, channel]));
    this.sessions = new Map(snapshot.sessions.map((session) => [`${session.channel}/${session.thread_ts}`, session]));
    this.messages = new Map();
    this.index = new Map();
    this.unread = new Map();
    this.home = snapshot.home;
    this.modals = new Map(snapshot.modals.map((view) => [view.id, view]));
    this.status = snapshot.status;
    snapshot.messages.forEach((message) => this.put(message));
  }

  /** Add a message or replace its earlier version; return whether it is new. */
  put(message) {
    if (!this.messages.has(message.channel)) this.messages.set(message.channel, new Map());
    const known = this.messages.get(message.channel);
    const isNew = !known.has(message.ts);
    this.index.delete(message.channel);
    known.set(message.ts, message);
    return isNew;
  }

  remove(channel, ts) {
    this.index.delete(channel);
    this.messages.get(channel)?.delete(ts);
  }

  get(channel, ts) {
    return this.messages.get(channel)?.get(ts);
  }

  dismiss(message) {
    this.index.delete(message.channel);
    this.dismissed.add(message.ts);
  }

  // A channel's threads by their root, oldest first; computed again after a change.
  #threads(channel) {
    if (!this.index.has(channel)) {
      const found = [...(this.messages.get(channel)?.values() ?? [])].filter((message) => !this.dismissed.has(message.ts));
      const threads = new Map();
      for (const message of found.sort((a, b) => (a.ts < b.ts ? -1 : 1))) {
        if (!threads.has(message.root)) threads.set(message.root, { root: null, replies: [] });
        if (message.ts === message.root) threads.get(message.root).root = message;
        else threads.get(message.root).replies.push(message);
      }
      this.index.set(channel, threads);
    }
    return this.index.get(channel);
  }

  /** Return the top-level messages of a channel, oldest first. */
  roots(channel) {
    return [...this.#threads(channel).values()].map(({ root }) => root).filter(Boolean);
  }

  /** Return the replies of a thread, oldest first. */
  replies(channel, root) {
    return this.#threads(channel).get(root)?.replies ?? [];
  }

  /** Return the replies that everybody in the conversation sees. */
  publicReplies(channel, root) {
    return this.replies(channel, root).filter((message) => !message.ephemeral);
  }

  session(channel, root) {
    const session = this.sessions.get(`${channel}/${root}`);
    return session?.status === "processing" ? session : null;
  }

  person(id) {
    return this.people.get(id);
  }

  /** Return the author of a message: a person, or another app with its own name. */
  author(message) {
    const person = this.people.get(message.user);
    return message.username ? { ...person, id: message.user, real_name: message.username, is_bot: true } : person;
  }

  nameOf(channel) {
    if (channel.is_im) return this.person(channel.user)?.real_name ?? "?";
    if (!channel.is_mpim) return channel.name;
    return channel.members.filter((id) => id !== this.me).map((id) => this.person(id)?.real_name ?? "?").join(", ");
  }

  /** Return whether a conversation is between people, without a name of its own. */
  isDirect(channel) {
    return channel.is_im || channel.is_mpim;
  }

  isWithBot(channel) {
    return Boolean(channel?.is_im && channel.user === this.bot);
  }
}

const ROLES = { owner: "owner", admin: "admin", guest: "guest", single_channel_guest: "guest", external: "other company" };

/** Return whether a person may read what is open to all full members. */
export function isMember(person) {
  return ["owner", "admin", "member"].includes(person?.role);
}

/** Return what stands next to a person's name: nothing for a member. */
export function roleOf(person) {
  return person?.deleted ? "deactivated" : ROLES[person?.role] ?? "";
}

/** Return the time of a ts. */
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
