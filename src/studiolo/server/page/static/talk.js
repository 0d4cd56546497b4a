// What can be done in a chat: say something, stop, have it answered again, edit and go on from
// there, choose another token and go on from it. One answer is under way at a time.

import { begin, take, unheard } from "./answer.js";
import * as keep from "./keep.js";
import * as server from "./server.js";
import { get, set, shown } from "./state.js";

const ALTERNATIVES = 10;
const VERSIONS = 20;
const name = () => `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
const said = (text) => ({ key: name(), role: "user", text });
const unanswered = () => ({ key: name(), versions: [] });

/** Say `text`. */
export const say = (text) => answered([...(get().chat?.turns ?? []), said(text)], unanswered());

/** Say `text` in the place `at` instead, and forget what followed. */
export const edit = (at, text) =>
  answered([...get().chat.turns.slice(0, at), said(text)], unanswered());

/** Another answer in the place `at`. */
export const again = (at) => answered(get().chat.turns.slice(0, at), get().chat.turns[at]);

/** End the answer that is under way; what there is stays. */
export async function stop() {
  const { busy } = get();
  busy?.controller.abort();
  await busy?.over;
}

/** Go on from where the length ran out. */
export function goOn(at) {
  const { turns } = get().chat;
  const answer = shown(turns[at]);
  const versions = turns[at].versions.filter((each) => each !== answer);
  return answered(turns.slice(0, at), { ...turns[at], versions }, answer, answer.tokens);
}

/** Put `other` in the place of a token of the answer `at`, and go on from there. */
export async function choose(at, place, other) {
  await stop();
  const { chat } = get();
  const answer = shown(chat.turns[at]);
  const before = chat.turns.slice(0, at);
  const tokens = answer.tokens.slice(0, place);
  const end = tokens.at(-1)?.at ?? 0;
  if (other.ends) {
    const { model, system } = answer;
    const cut = { ...begin(model, system, tokens).answer, ended: "cut" };
    cut.text = answer.text.slice(0, end);
    set({ chat: { ...chat, turns: [...before, added(chat.turns[at], cut)] } });
    return save();
  }
  const { id, text, log_prob } = other;
  const { top } = answer.tokens[place];
  const chosen = { id, text, log_prob, top, at: end + text.length, chosen: true };
  return answered(before, chat.turns[at], answer, [...tokens, chosen]);
}

/** Show another version of the answer `at`. */
export function show(at, version) {
  const { chat } = get();
  const turns = chat.turns.map((turn, i) => (i === at ? { ...turn, shown: version } : turn));
  set({ chat: { ...chat, turns } });
  save();
}

/** Begin a new chat. */
export async function fresh() {
  await stop();
  keep.openChat(null);
  set({ chat: null, view: "chat", open: null, notice: null });
}

/** Open a chat that was kept. */
export async function open(id) {
  await stop();
  const chat = keep.chat(id);
  if (chat === null) return fresh(); // forgotten in another tab
  keep.openChat(id);
  return set({ chat, view: "chat", open: null, notice: null });
}

export async function forget(id) {
  if (get().chat?.id === id) await fresh();
  keep.forgetChat(id);
  set({ chats: keep.chats() });
}

/** Keep the chat that is open. */
export function save() {
  const { chat } = get();
  if (chat === null) return;
  keep.openChat(chat.id);
  if (keep.keepChat(chat)) {
    set({ chats: keep.chats() });
    return;
  }
  const others = get().chats.filter((each) => each.id !== chat.id);
  const notice = "This browser has no room, or keeps nothing: the chat will go with the page.";
  set({ chats: [{ id: chat.id, title: chat.title }, ...others], notice });
}

/** The turn with one more version, which is shown; empty ones before it are dropped. */
function added(turn, answer) {
  const versions = [...turn.versions.filter((each) => each.text), answer].slice(-VERSIONS);
  return { key: turn.key, role: "assistant", versions, shown: versions.length - 1 };
}

/** Have `turns` answered, as one more version of `turn`; the tokens `begun` of `from` stay. */
async function answered(turns, turn, from = null, begun = []) {
  await stop();
  const { settings } = get();
  const title = turns[0].text.trim().split("\n")[0].slice(0, 80);
  const chat = { id: get().chat?.id ?? name(), title };
  const { model, system } = from ?? settings;
  const made = begin(model, system, begun);
  const { answer } = made;
  const controller = new AbortController();
  const draw = () => {
    const last = added(turn, { ...answer, tokens: [...answer.tokens] });
    set({ chat: { ...chat, turns: [...turns, last] } });
  };
  const speak = (last) => {
    const spoken = unheard(made, last);
    if (spoken) set({ spoken });
  };
  let frame = 0;
  const soon = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
      speak(false);
    });
  };
  const work = async () => {
    try {
      const body = asking(turns, answer, begun, settings);
      for await (const event of server.answer(body, controller.signal)) {
        take(made, event);
        soon();
      }
    } catch (error) {
      answer.ended = controller.signal.aborted ? "stopped" : "failed";
      if (answer.ended === "failed") {
        answer.error = { message: error.message, request: error.request ?? null };
        if (error.status === 401) set({ key: error.message });
      }
    }
    cancelAnimationFrame(frame);
    draw();
    speak(true);
    set({ busy: null });
    save();
  };
  draw();
  save();
  const over = Promise.resolve().then(work);
  set({ busy: { controller, over }, view: "chat", notice: null, spoken: "" });
  return over;
}

function asking(turns, answer, begun, settings) {
  const messages = turns.flatMap((turn) => {
    if (turn.role === "user") return [{ role: "user", content: turn.text }];
    const { text } = shown(turn);
    return text ? [{ role: "assistant", content: text }] : [];
  });
  if (answer.system.trim()) messages.unshift({ role: "system", content: answer.system });
  const body = { messages, log_probs: ALTERNATIVES };
  if (answer.model) body.model = answer.model;
  if (begun.length) body.begun = begun.map((token) => token.id);
  for (const dial of ["temperature", "top_p", "max_tokens", "seed"]) {
    if (settings[dial] !== null) body[dial] = settings[dial];
  }
  return body;
}
