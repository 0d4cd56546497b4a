// The page: what stands where, and the keys that work everywhere.

import { Chat } from "./chat.js";
import { Dialog } from "./dialog.js";
import { AskKey } from "./key.js";
import * as keep from "./keep.js";
import { Next } from "./next.js";
import { Receipt } from "./receipt.js";
import * as server from "./server.js";
import { Settings, change, setTheme } from "./settings.js";
import { Shelf, begin } from "./shelf.js";
import { DEFAULTS, get, set, useRoom } from "./state.js";
import { forget, save, stop } from "./talk.js";
import { IconButton, covered, html, render, useState } from "./ui.js";

const RAIN = "After the rain, the streets were";
const close = () => set({ open: null });

function Room() {
  const room = useRoom();
  const { chat, chats, settings, open, busy } = room;
  const [text, setText] = useState(RAIN);
  return html`<div class="room">
    <a class="skip" href="#composer">To the message field</a>
    <aside><${Shelf} chats=${chats} chat=${chat} /></aside>
    <main>
      <${Top} room=${room} />
      ${room.notice && html`<p class="wrong notice" role="alert">
        <span>${room.notice}</span>
        <${IconButton} icon="close" label="Dismiss" onClick=${() => set({ notice: null })} />
      </p>`}
      <${Chat} chat=${chat} busy=${busy} hidden=${room.view !== "chat"} />
      ${room.view === "next" && html`<${Next}
        model=${settings.model} text=${text} onText=${setText}
      />`}
    </main>
    ${open === "shelf" && html`<${Dialog} title="Chats" kind="drawer" onClose=${close}>
      <${Shelf} chats=${chats} chat=${chat} />
    <//>`}
    ${open === "settings" && html`<${Settings} settings=${settings} theme=${room.theme} />`}
    ${open?.tokens && html`<${Receipt} answer=${open} onClose=${close} />`}
    ${room.key && html`<${AskKey} why=${room.key} onKey=${findModels} />`}
    <p class="unseen" role="status" aria-live="polite">${room.spoken}</p>
  </div>`;
}

function Top({ room: { view, models, settings, theme } }) {
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const tab = (name, first, rest) => html`<button
    type="button" aria-label=${first + rest} aria-current=${view === name ? "page" : null}
    onClick=${() => set({ view: name })}
  >${first}${rest && html`<span class="long">${rest}</span>`}</button>`;
  const known = settings.model === null || models.includes(settings.model);
  return html`<header class="top">
    <${IconButton} icon="menu" label="Chats" class="quiet only menu" onClick=${() => set({ open: "shelf" })} />
    <nav class="tabs" aria-label="Views">${tab("chat", "Chat", "")}${tab("next", "Next", " token")}</nav>
    <span class="gap" />
    <label class="model">
      <span class="unseen">Model</span>
      <select value=${settings.model ?? ""} onChange=${(event) => change({ model: event.target.value || null })}>
        <option value="">Default model</option>
        ${!known && html`<option value=${settings.model}>${settings.model}</option>`}
        ${models.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
      </select>
    </label>
    <${IconButton}
      icon=${dark ? "sun" : "moon"} label=${dark ? "Light" : "Dark"} class="quiet only theme"
      onClick=${() => setTheme(dark ? "light" : "dark")}
    />
    <${IconButton} icon="settings" label="Settings" onClick=${() => set({ open: "settings" })} />
  </header>`;
}

async function findModels() {
  try {
    set({ models: await server.models() });
  } catch (error) {
    set(error.status === 401 ? { key: error.message } : { notice: error.message });
  }
}

function pressed(event) {
  if (event.key === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    begin();
  } else if (event.key === "Escape" && !covered() && !event.defaultPrevented && get().busy) {
    event.preventDefault();
    stop();
  }
}

/** Another tab has kept or forgotten something. */
function elsewhere(event) {
  set({ chats: keep.chats() });
  if (keep.isForgotten(event, get().chat?.id)) forget(get().chat.id);
}

const last = keep.openChat();
set({
  chats: keep.chats(),
  chat: last && keep.chat(last),
  settings: { ...DEFAULTS, ...keep.settings() },
  theme: keep.theme(),
});
document.addEventListener("keydown", pressed);
addEventListener("pagehide", () => get().busy && save());
addEventListener("storage", elsewhere);
document.getElementById("room").replaceChildren();
render(html`<${Room} />`, document.getElementById("room"));
document.getElementById("composer")?.focus();
findModels();
