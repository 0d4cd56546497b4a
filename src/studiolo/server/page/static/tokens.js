// The tokens of an answer: each tinted by how unlikely the model found it; asked about one, it shows
// what else could have stood there, and goes on from whatever is chosen.

import { Bars, named, percent } from "./bars.js";
import { choose } from "./talk.js";
import { html, memo, useLayoutEffect, useRef, useState } from "./ui.js";

const PALE = 5; // nats of surprise at which the tint is full
const MARGIN = 8;

export const Tokens = memo(function Tokens({ answer, at }) {
  const [opened, setOpened] = useState(null);
  const [current, setCurrent] = useState(0);
  const box = useRef();
  const { tokens } = answer;
  const chip = (place) => box.current?.querySelector(`[data-place="${place}"]`);
  const placeOf = (event) => {
    const found = event.target.closest("[data-place]");
    return found ? Number(found.dataset.place) : null;
  };
  const move = (event) => {
    const place = placeOf(event);
    const last = tokens.length - 1;
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: last }[event.key];
    if (place === null || to === undefined) return;
    event.preventDefault();
    chip(Math.min(Math.max(to, 0), last))?.focus();
  };
  if (!tokens.length) {
    return html`<p class="aside">No tokens are kept of this answer.</p>`;
  }
  return html`<div class="tokens">
    <p class="legend">
      <span>Each piece is a token; the stronger its tint, the less likely it was.</span>
      <span class="scale" aria-hidden="true">likely <i /> unlikely</span>
    </p>
    <div
      class="chips" role="group" aria-label="Tokens of the answer" ref=${box}
      onKeyDown=${move}
      onFocusIn=${(event) => setCurrent(placeOf(event) ?? current)}
      onClick=${(event) => setOpened(placeOf(event))}
    >
      ${tokens.map(
        (token, place) => html`<${Chip}
          key=${place} token=${token} place=${place}
          reached=${place === Math.min(current, tokens.length - 1)} opened=${place === opened}
        />`,
      )}
    </div>
    <p class="legend">${unsure(tokens)}</p>
    ${opened !== null && tokens[opened] && html`<${Alternatives}
      key=${opened} token=${tokens[opened]} anchor=${chip(opened)}
      onClose=${() => setOpened((now) => (now === opened ? null : now))}
      onChoose=${(other) => choose(at, opened, other)}
    />`}
  </div>`;
});

const Chip = memo(function Chip({ token, place, reached, opened }) {
  const strength = Math.min(1, -token.log_prob / PALE).toFixed(3);
  const breaks = token.text.includes("\n");
  const text = breaks ? token.text.replaceAll("\n", "↵") : token.text;
  return html`<button
      type="button" class=${token.chosen ? "chip chosen" : "chip"} data-place=${place}
      style=${{ "--surprise": strength }} tabindex=${reached ? 0 : -1}
      aria-haspopup="dialog" aria-expanded=${opened}
      aria-label=${`${named(token)}, ${percent(token.log_prob)}${token.chosen ? ", chosen by you" : ""}`}
      title=${`${percent(token.log_prob)}${token.chosen ? ", chosen by you" : ""}`}
    >${text}</button>${breaks && html`<br />`}`;
});

/** Perplexity, in words. */
function unsure(tokens) {
  const drawn = tokens.filter((token) => !token.chosen);
  const mean = drawn.reduce((sum, token) => sum - token.log_prob, 0) / Math.max(1, drawn.length);
  const choices = Math.exp(mean);
  const many = choices < 10 ? choices.toFixed(1) : Math.round(choices).toLocaleString("en-GB");
  const count = tokens.length === 1 ? "1 token" : `${tokens.length} tokens`;
  return `${count}; on average as unsure as between ${many} equally likely ones.`;
}

function Alternatives({ token, anchor, onClose, onChoose }) {
  const box = useRef();
  const listed = token.top.some((each) => each.id === token.id);
  const rows = listed ? token.top : [...token.top, token];
  useLayoutEffect(() => {
    const { current } = box;
    const left = (event) => event.newState === "closed" && onClose();
    current.addEventListener("toggle", left);
    const along = () => put(current, anchor);
    current.showPopover();
    if (current.getBoundingClientRect().width >= innerWidth) anchor.scrollIntoView();
    along();
    addEventListener("scroll", along, true);
    const first = '[aria-current="true"], button';
    (current.querySelector(first) ?? current).focus({ preventScroll: true });
    return () => {
      current.removeEventListener("toggle", left);
      removeEventListener("scroll", along, true);
    };
  }, []);
  const take = (other, here) => {
    box.current.hidePopover();
    if (!here) onChoose(other);
  };
  return html`<div class="popover" popover="auto" role="dialog" ref=${box} aria-label="What else could stand here">
    <p class="aside">
      ${token.id === null ? "What else could have stood here" : "Choose another to go on from it."}
    </p>
    <${Bars}
      tokens=${rows} current=${token.id} label="Alternatives"
      onChoose=${token.id === null ? null : take}
    />
  </div>`;
}

/** Below the chip, or above it where there is no room; on a phone the style sheet knows a place. */
function put(box, chip) {
  if (matchMedia("(max-width: 560px)").matches) return;
  const { width, height } = box.getBoundingClientRect();
  const { left, top, bottom } = chip.getBoundingClientRect();
  const column = chip.closest(".chips").getBoundingClientRect();
  const lowest = Math.max(MARGIN, innerHeight - height - MARGIN);
  const above = top - height - MARGIN;
  const fits = bottom + MARGIN <= lowest || above < MARGIN;
  box.style.left = `${Math.max(MARGIN, Math.min(left - 12, column.right - width))}px`;
  box.style.top = `${fits ? Math.min(bottom + MARGIN, lowest) : above}px`;
}
