// One turn of a chat: what somebody said, or an answer and what can be done with it.

import { Writing } from "./composer.js";
import { Markdown } from "./markdown.js";
import { set } from "./state.js";
import { again, edit, goOn, show } from "./talk.js";
import { Tokens } from "./tokens.js";
import { Copy, Icon, IconButton, html, memo, useState } from "./ui.js";

export const Said = memo(function Said({ turn, at, editing, onEdit }) {
  const done = () => onEdit(null);
  if (editing) {
    const send = (text) => {
      done();
      edit(at, text);
    };
    return html`<article class="said-turn editing" aria-label="You said">
      <${Writing} id="edited" label="Edit the message" first=${turn.text} onSend=${send} onEscape=${done}>
        ${(empty) => html`<div class="actions">
          <button type="button" class="quiet" onClick=${done}>Cancel</button>
          <button type="submit" class="solid" disabled=${empty}>Say it</button>
        </div>`}
      <//>
    </article>`;
  }
  return html`<article class="said-turn" aria-label="You said">
    <div class="tools">
      <${IconButton} icon="edit" label="Edit" onClick=${() => onEdit(at)} />
      <${Copy} text=${turn.text} />
    </div>
    <div class="words">${turn.text}</div>
  </article>`;
});

export const Answer = memo(function Answer({ turn, at, last, busy }) {
  const [asTokens, setAsTokens] = useState(false);
  const answer = turn.versions[turn.shown];
  const under = busy && last;
  const { text, tokens } = answer;
  return html`<article class="answer" aria-label="Answer" aria-busy=${under}>
    ${asTokens
      ? html`<${Tokens} answer=${answer} at=${at} />`
      : html`<${Markdown} text=${text} />`}
    ${under && html`<span class="pulse" role="img" aria-label="The answer is under way" />`}
    ${answer.error && html`<p class="wrong" role="alert">
      ${answer.error.message}
      ${answer.error.request && html`<small>Request ${answer.error.request}</small>`}
    </p>`}
    ${!under && html`<div class="tools">
      ${turn.versions.length > 1 && html`<${Versions} turn=${turn} at=${at} />`}
      ${text && html`<${Copy} text=${text} />`}
      <${IconButton} icon="again" label="Answer again" onClick=${() => again(at)} />
      ${tokens.length > 0 && html`<button
        type="button" class="quiet" aria-pressed=${asTokens} onClick=${() => setAsTokens(!asTokens)}
      ><${Icon} name="tokens" /><span>Tokens</span></button>`}
      ${text && html`<button
        type="button" class="quiet" onClick=${() => set({ open: answer })}
      ><${Icon} name="receipt" /><span>Receipt</span></button>`}
      ${answer.ended === "length" && html`<button
        type="button" class="quiet" title="The longest answer of the settings was reached"
        onClick=${() => goOn(at)}
      ><${Icon} name="on" /><span>Go on</span></button>`}
      <span class="meta">${told(answer)}</span>
    </div>`}
  </article>`;
});

function Versions({ turn, at }) {
  const { shown, versions } = turn;
  return html`<span class="versions" role="group" aria-label="Versions of the answer">
    <${IconButton}
      icon="before" label="Version before" disabled=${shown === 0} onClick=${() => show(at, shown - 1)}
    />
    <span>${shown + 1}/${versions.length}</span>
    <${IconButton}
      icon="after" label="Version after" disabled=${shown === versions.length - 1}
      onClick=${() => show(at, shown + 1)}
    />
  </span>`;
}

/** What is known of an answer, in few words. */
function told({ ended, model, tokens, rate }) {
  const facts = model ? [model] : [];
  if (ended === "stopped" || ended === null) facts.push("stopped");
  if (ended === "cut") facts.push("ended by you");
  if (tokens.length) facts.push(tokens.length === 1 ? "1 token" : `${tokens.length} tokens`);
  if (rate) facts.push(`${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a second`);
  return facts.join(" · ");
}
