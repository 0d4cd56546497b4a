// Where one writes: Enter sends, Shift+Enter begins a new line, Up in an empty field edits what was
// said last.

import { get } from "./state.js";
import { say, stop } from "./talk.js";
import { Icon, html, useLayoutEffect, useRef, useState } from "./ui.js";

/** A field that grows with its text. `onSend` is given the text, without white space around it. */
export function Writing({ id, label, placeholder, first = "", onSend, onEscape, onUp, children }) {
  const [text, setText] = useState(first);
  const field = useRef();
  useLayoutEffect(() => {
    const { current } = field;
    current.style.height = "auto";
    current.style.height = `${current.scrollHeight}px`;
  }, [text]);
  const send = () => {
    const said = text.trim();
    if (said && onSend(said) !== false) setText("");
  };
  const pressed = (event) => {
    if (event.isComposing) return; // Enter then ends a word of Chinese or Japanese
    const plain = !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === "Enter" && !event.shiftKey) send();
    else if (event.key === "Escape" && onEscape) onEscape();
    else if (event.key === "ArrowUp" && plain && text === "" && onUp) onUp();
    else return;
    event.preventDefault();
  };
  return html`<form class="writing" onSubmit=${(event) => { event.preventDefault(); send(); }}>
    <textarea
      id=${id} ref=${field} rows="1" aria-label=${label} placeholder=${placeholder} value=${text}
      onInput=${(event) => setText(event.target.value)} onKeyDown=${pressed}
    />
    ${children(text.trim() === "")}
  </form>`;
}

export function Composer({ busy, onUp }) {
  const send = (text) => {
    if (get().busy) return false;
    say(text);
    return true;
  };
  return html`<div class="composer">
    <${Writing} id="composer" label="Message" placeholder="Write a message" onSend=${send} onUp=${onUp}>
      ${(empty) =>
        busy
          ? html`<button type="button" class="round" aria-label="Stop" title="Stop (Esc)" onClick=${stop}>
              <${Icon} name="stop" />
            </button>`
          : html`<button type="submit" class="round" aria-label="Send" title="Send (Enter)" disabled=${empty}>
              <${Icon} name="send" />
            </button>`}
    <//>
    <p class="keys" aria-hidden="true">
      <kbd>Enter</kbd> sends · <kbd>Shift Enter</kbd> new line · <kbd>Esc</kbd> stops · <kbd>↑</kbd> edits
    </p>
  </div>`;
}
