// A dialog over the page: the browser keeps the keyboard in it, closes it on Esc, and gives the
// keyboard back. A click beside it closes it as well.

import { IconButton, html, useLayoutEffect, useRef } from "./ui.js";

export function Dialog({ title, kind = "", onClose, children }) {
  const box = useRef();
  useLayoutEffect(() => {
    box.current.showModal();
    return () => box.current?.close(); // gives the keyboard back, also where nobody pressed Esc
  }, []);
  const beside = (event) => event.target === box.current && box.current.close();
  return html`<dialog
    class=${kind} ref=${box} aria-label=${title} onClose=${onClose} onClick=${beside}
  >
    <div class="leaf">
      <header>
        <h2>${title}</h2>
        <${IconButton} icon="close" label="Close" onClick=${() => box.current.close()} />
      </header>
      ${children}
    </div>
  </dialog>`;
}
