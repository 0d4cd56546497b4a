// What the page knows while it is open, in one place. Whoever draws it is told when it changes.

import { useLayoutEffect, useReducer } from "./ui.js";

/** Dials at null are the model's own, or the server's. */
export const DEFAULTS = {
  model: null, system: "", temperature: null, top_p: null, max_tokens: 512, seed: null,
};

let value = {
  view: "chat", // or "next"
  models: [], // names
  chats: [], // { id, title, changed }, the newest first
  chat: null, // { id, title, turns }, or null before its first message
  settings: DEFAULTS,
  theme: null, // "light", "dark", or null: as the system has it
  busy: null, // { controller, over } while an answer is under way
  notice: null, // what went wrong outside any answer
  key: null, // why a key is asked for
  open: null, // "settings", "shelf", or the answer whose receipt is shown
  spoken: "", // what a screen reader is told
};
const watchers = new Set();

export const get = () => value;

/** Change some of it. */
export function set(changes) {
  value = { ...value, ...changes };
  for (const watcher of watchers) watcher();
}

/** All of it, in a component. */
export function useRoom() {
  const [, draw] = useReducer((count) => count + 1, 0);
  useLayoutEffect(() => {
    watchers.add(draw);
    draw(); // it may have changed since it was drawn
    return () => watchers.delete(draw);
  }, []);
  return value;
}

/** The version of an answer that is shown. */
export const shown = (turn) => turn.versions[turn.shown];
