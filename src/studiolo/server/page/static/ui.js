// Preact and htm put together, and the few things that every part of the page uses.

import { Component, Fragment, h, render } from "./vendor/preact.js";
import {
  useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export { Fragment, h, render };
export { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState };
export const html = htm.bind(h);

/** `view`, drawn again only when one of its properties is another. */
export function memo(view) {
  return class extends Component {
    shouldComponentUpdate(next) {
      const names = new Set([...Object.keys(this.props), ...Object.keys(next)]);
      return [...names].some((name) => this.props[name] !== next[name]);
    }

    render(props) {
      return h(view, props);
    }
  };
}

/** A drawing of index.html; the words beside it say what it means. */
export function Icon({ name }) {
  return html`<svg class="icon" aria-hidden="true"><use href=${`#i-${name}`} /></svg>`;
}

/** A button that is a drawing alone. */
export function IconButton({ icon, label, ...more }) {
  return html`<button type="button" class="quiet only" aria-label=${label} title=${label} ...${more}>
    <${Icon} name=${icon} />
  </button>`;
}

/** Put `text` on the clipboard; over plain HTTP from another machine only the old way is open. */
async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  return box.remove();
}

/** A button that copies `text`, and says that it did. */
export function Copy({ text, label = "Copy", words = false }) {
  const [done, set] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => set(false), 1600);
    return () => clearTimeout(timer);
  }, [done]);
  const told = done ? "Copied" : label;
  return html`<button
    type="button" class=${words ? "quiet" : "quiet only"} aria-label=${told} title=${told}
    onClick=${() => copied(text).then(() => set(true), () => {})}
  >
    <${Icon} name=${done ? "done" : "copy"} />${words && html`<span>${told}</span>`}
  </button>`;
}

/** Whether a dialog or a popover is open, to which the keyboard then belongs. */
export function covered() {
  return document.querySelector("dialog[open], :popover-open") !== null;
}
