// Tokens with their probabilities as bars: what else could stand in a place.

import { html } from "./ui.js";

const SIGNS = { " ": "·", "\n": "↵", "\t": "⇥", "\r": "␍" };

/** A probability as people read it. */
export function percent(logProb) {
  const number = 100 * Math.exp(logProb);
  if (number < 0.1) return "< 0.1 %";
  return number >= 99.95 ? "100 %" : `${number.toFixed(1)} %`;
}

/** A token in words, for those who hear it. */
export function named(token) {
  if (token.ends) return "the end of the answer";
  if (token.text === "") return "nothing";
  return token.text.replaceAll("\n", " new line ").trim().replace(/\s+/g, " ") || "white space";
}

/** A token by itself; its white space shows. */
export function Token({ token }) {
  if (token.ends) return html`<span class="token ends">end of answer</span>`;
  const parts = token.text.split(/([ \n\t\r])/).filter((part) => part !== "");
  return html`<span class="token">${parts.map((part) =>
    part in SIGNS ? html`<span class="sign">${SIGNS[part]}</span>` : part,
  )}</span>`;
}

/** A list of tokens, the likeliest first; one can be chosen. `current`: the id of the one there. */
export function Bars({ tokens, current, label, onChoose }) {
  const widest = Math.max(...tokens.map((token) => Math.exp(token.log_prob)), 1e-9);
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const rows = [...event.currentTarget.querySelectorAll("button")];
    rows[rows.indexOf(document.activeElement) + step]?.focus();
  };
  return html`<ol class="bars" aria-label=${label} onKeyDown=${move}>
    ${tokens.map((token, i) => {
      const here = token.id !== null && token.id === current;
      const width = `${(100 * Math.exp(token.log_prob)) / widest}%`;
      return html`<li key=${i}>
        <button
          type="button" aria-current=${here ? "true" : null}
          disabled=${!onChoose}
          aria-label=${`${named(token)}, ${percent(token.log_prob)}${here ? ", stands there" : ""}`}
          onClick=${() => onChoose(token, here)}
        >
          <${Token} token=${token} />
          <span class="bar"><span style=${{ width }} /></span>
          <span class="number">${percent(token.log_prob)}</span>
        </button>
      </li>`;
    })}
  </ol>`;
}
