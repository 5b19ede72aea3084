// The page's WebSocket: events arrive in lists, requests have numbers, and a lost connection is opened again.

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 5000;

export class Connection extends EventTarget {
  #socket = null;
  #asked = new Map();
  #number = 0;
  #wait = FIRST_WAIT_MS;

  /** Open the connection and keep it open; the events `open`, `lost` and `news` report its state. */
  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.#socket = new WebSocket(`${scheme}://${location.host}/page-socket`);
    this.#socket.onopen = () => {
      this.#wait = FIRST_WAIT_MS;
      this.dispatchEvent(new Event("open"));
    };
    this.#socket.onmessage = ({ data }) => JSON.parse(data).forEach((item) => this.#take(item));
    this.#socket.onclose = () => this.#lost();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Ask the workspace to do something; resolves to its answer, or rejects with an Error that says why. */
  ask(what, details = {}) {
    if (!this.isOpen) return Promise.reject(new Error("not connected"));
    const id = ++this.#number;
    this.#socket.send(JSON.stringify({ ...details, do: what, id }));
    return new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }));
  }

  #take(item) {
    if (item.type !== "reply") {
      this.dispatchEvent(new CustomEvent("news", { detail: item }));
      return;
    }
    const waiting = this.#asked.get(item.id);
    this.#asked.delete(item.id);
    if (item.ok) waiting?.resolve(item);
    else waiting?.reject(new Error(item.error));
  }

  #lost() {
    for (const { reject } of this.#asked.values()) reject(new Error("not connected"));
    this.#asked.clear();
    this.dispatchEvent(new Event("lost"));
    setTimeout(() => this.#again(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }

  // A restarted workspace knows no earlier session: fetching the page makes a new one.
  async #again() {
    try {
      await fetch("/", { cache: "no-store" });
      this.open();
    } catch {
      this.#lost();
    }
  }
}
