// What is kept in this browser, and nowhere else: chats and settings until they are forgotten, the
// key until the tab is closed. Where storage is full, scores and receipts of the oldest chats go
// first; what was said goes never. Storage may be switched off: then nothing is kept.

const CHATS = "studiolo.chats";
const CHAT = "studiolo.chat.";
const SETTINGS = "studiolo.settings";
const THEME = "studiolo.theme";
const KEY = "studiolo.key";
const OPEN = "studiolo.open";

function read(name, otherwise) {
  try {
    const found = localStorage.getItem(name);
    return found === null ? otherwise : JSON.parse(found);
  } catch {
    return otherwise;
  }
}

function write(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export const chats = () => read(CHATS, []);
export const settings = () => read(SETTINGS, {});
export const keepSettings = (value) => write(SETTINGS, value);

/** A chat as it was, or null. */
export function chat(id) {
  const found = read(CHAT + id, null);
  return found && { ...found, turns: found.turns.map((turn) => eachAnswer(turn, unpacked)) };
}

/** Keep a chat; false where there is no room even for its words. */
export function keepChat(chat) {
  const packed = { ...chat, turns: chat.turns.map((turn) => eachAnswer(turn, packedAnswer)) };
  const listed = { id: chat.id, title: chat.title, changed: Date.now() };
  const others = chats().filter((each) => each.id !== chat.id);
  const oldest = others.map((each) => each.id).reverse();
  let kept = write(CHAT + chat.id, packed);
  while (!kept && oldest.length) {
    const id = oldest.shift();
    const old = read(CHAT + id, null);
    if (old) write(CHAT + id, thinned(old));
    kept = write(CHAT + chat.id, packed);
  }
  return (kept || write(CHAT + chat.id, thinned(packed))) && write(CHATS, [listed, ...others]);
}

export function forgetChat(id) {
  try {
    localStorage.removeItem(CHAT + id);
  } catch {
    // Nothing was kept.
  }
  write(CHATS, chats().filter((each) => each.id !== id));
}

/** Whether a `storage` event says that another tab has forgotten the chat `id`. */
export const isForgotten = (event, id) => event.key === CHAT + id && event.newValue === null;

/** Everything that this page ever kept. */
export function forgetAll() {
  for (const storage of ["localStorage", "sessionStorage"]) {
    try {
      const names = Object.keys(window[storage]);
      for (const name of names) if (name.startsWith("studiolo.")) window[storage].removeItem(name);
    } catch {
      // Nothing was kept.
    }
  }
}

/** Text of its own, since it is read before the page is painted. */
export function theme(chosen) {
  try {
    if (chosen === undefined) return localStorage.getItem(THEME);
    if (chosen === null) localStorage.removeItem(THEME);
    else localStorage.setItem(THEME, chosen);
  } catch {
    // The choice holds until the page is closed.
  }
  return chosen ?? null;
}

function forNow(name) {
  let held = null;
  return (value) => {
    try {
      if (value === null) sessionStorage.removeItem(name);
      else if (value !== undefined) sessionStorage.setItem(name, value);
      else return sessionStorage.getItem(name) ?? held;
    } catch {
      // Held below.
    }
    if (value !== undefined) held = value;
    return held;
  };
}

/** The key: read it, set it, or forget it with null. */
export const key = forNow(KEY);
/** Which chat is open in this tab. */
export const openChat = forNow(OPEN);

const eachAnswer = (turn, change) =>
  turn.versions ? { ...turn, versions: turn.versions.map(change) } : turn;

const short = (number) => Math.round(number * 1e4) / 1e4;

/** Tokens as short arrays: they are most of what there is. */
function packedAnswer(answer) {
  const tokens = answer.tokens.map((token) => [
    token.id, token.text, short(token.log_prob), token.at, token.chosen ? 1 : 0,
    token.top.map((each) => [each.id, each.text, short(each.log_prob), each.ends ? 1 : 0]),
  ]);
  return { ...answer, tokens };
}

function unpacked(answer) {
  const tokens = answer.tokens.map(([id, text, log_prob, at, chosen, top]) => ({
    id, text, log_prob, at, chosen: chosen === 1,
    top: top.map((each) => ({ id: each[0], text: each[1], log_prob: each[2], ends: each[3] === 1 })),
  }));
  return { ...answer, tokens };
}

function thinned(chat) {
  const words = (answer) => ({ ...answer, tokens: [], receipt: null });
  return { ...chat, turns: chat.turns.map((turn) => eachAnswer(turn, words)) };
}
