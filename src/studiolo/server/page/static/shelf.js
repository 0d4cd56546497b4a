// The chats that are kept, and where a new one is begun: at the side, or on a phone in a drawer.

import { set } from "./state.js";
import { forget, fresh, open } from "./talk.js";
import { Icon, IconButton, html } from "./ui.js";

export function Shelf({ chats, chat }) {
  return html`<div class="shelf">
    <p class="name"><img src="/studio/icon.svg" alt="" width="26" height="26" /> Studiolo</p>
    <button type="button" class="edged wide-button" title="Ctrl or ⌘ and K" onClick=${begin}>
      <${Icon} name="new" /><span>New chat</span>
    </button>
    <nav aria-label="Chats">
      <ul>
        ${chats.map((each) => html`<li key=${each.id} class=${each.id === chat?.id ? "here" : ""}>
          <button
            type="button" class="title" aria-current=${each.id === chat?.id ? "page" : null}
            onClick=${() => open(each.id)}
          >${each.title}</button>
          <${IconButton}
            icon="close" label=${`Forget “${each.title}”`} onClick=${() => forget(each.id)}
          />
        </li>`)}
      </ul>
    </nav>
    <p class="aside">
      ${chats.length ? "Kept in this browser alone." : "Chats are kept here, in this browser alone."}
    </p>
  </div>`;
}

/** A new chat, ready to be written in. */
export async function begin() {
  await fresh();
  set({ open: null });
  requestAnimationFrame(() => document.getElementById("composer")?.focus());
}
