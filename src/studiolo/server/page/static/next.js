// What comes next: a text, and how likely the model finds each token after it, while one writes.

import { Bars } from "./bars.js";
import * as server from "./server.js";
import { set } from "./state.js";
import { IconButton, html, useEffect, useLayoutEffect, useRef, useState } from "./ui.js";

const PAUSE = 120; // milliseconds of quiet before the server is asked
const ROWS = 16;

export function Next({ model, text, onText }) {
  const [{ tokens, wrong, of }, setFound] = useState({ tokens: [], wrong: null, of: null });
  const [before, setBefore] = useState([]);
  const field = useRef();
  useEffect(() => {
    if (text === "") {
      setFound({ tokens: [], wrong: null, of: "" });
      return undefined;
    }
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const found = await likeliest(model, text, controller.signal);
        setFound({ tokens: found, wrong: null, of: text });
      } catch (error) {
        if (controller.signal.aborted) return;
        if (error.status === 401) set({ key: error.message });
        setFound({ tokens: [], wrong: error.message, of: text });
      }
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text, model]);
  useLayoutEffect(() => {
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, [text]);
  const choose = (token) => {
    if (token.ends) return;
    setBefore([...before, text]);
    onText(text + token.text);
  };
  const rest = 1 - tokens.reduce((sum, token) => sum + Math.exp(token.log_prob), 0);
  return html`<section class="next" aria-label="Next token">
    <div class="column">
      <h1>What comes next?</h1>
      <p class="lead">
        A language model gives no word but a probability to every token it knows. These are the
        likeliest after your text. Choose one to go on with it.
      </p>
      <div class="next-text">
        <textarea
          ref=${field} rows="2" aria-label="Text" spellcheck="false" value=${text}
          placeholder="Write the beginning of something"
          onInput=${(event) => onText(event.target.value)}
        />
        <${IconButton}
          icon="undo" label="Take the last token back" disabled=${!before.length}
          onClick=${() => {
            onText(before.at(-1));
            setBefore(before.slice(0, -1));
          }}
        />
      </div>
      ${wrong && html`<p class="wrong" role="alert">${wrong}</p>`}
      <div aria-live="polite" aria-busy=${of !== text}>
        ${tokens.length > 0 && html`
          <${Bars} tokens=${tokens} label="The likeliest next tokens" onChoose=${choose} />
          <p class="aside rest">
            All others together: ${rest < 0.001 ? "less than 0.1" : (100 * rest).toFixed(1)} %
          </p>`}
      </div>
    </div>
  </section>`;
}

/** One token is drawn, and thrown away: what is asked for is what stood beside it. */
async function likeliest(model, prompt, signal) {
  const body = { prompt, max_tokens: 1, log_probs: ROWS, temperature: 0, ignore_eos: true };
  if (model) body.model = model;
  let found = [];
  for await (const event of server.answer(body, signal)) {
    if (event.tokens?.length) found = event.tokens[0].top;
  }
  return found;
}
