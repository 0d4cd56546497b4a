// Asks for a key, once the server wants one. It is kept until the tab is closed.

import { Dialog } from "./dialog.js";
import * as keep from "./keep.js";
import { set } from "./state.js";
import { html, useRef } from "./ui.js";

export function AskKey({ why, onKey }) {
  const field = useRef();
  const done = (event) => {
    event.preventDefault();
    const key = field.current.value.trim();
    if (!key) return;
    keep.key(key);
    set({ key: null, notice: null });
    onKey();
  };
  return html`<${Dialog} title="This server wants a key" kind="small" onClose=${() => set({ key: null })}>
    <p class="said" role="alert">${why}</p>
    <form onSubmit=${done}>
      <label class="field">
        <span>Key</span>
        <input type="password" autocomplete="off" spellcheck="false" autofocus required ref=${field} />
        <small>It stays in this tab until you close it, and goes to this server alone.</small>
      </label>
      <div class="actions"><button type="submit" class="solid">Use it</button></div>
    </form>
  <//>`;
}
