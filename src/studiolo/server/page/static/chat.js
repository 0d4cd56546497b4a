// A chat: its turns, and where one writes. While an answer comes the page goes along with it, unless
// its reader has scrolled away.

import { Composer } from "./composer.js";
import { say } from "./talk.js";
import { Answer, Said } from "./turn.js";
import { IconButton, html, useEffect, useLayoutEffect, useRef, useState } from "./ui.js";

const NEAR = 80; // pixels from the end that count as the end
const BEGINNINGS = [
  "Give me three reasons to read old books.",
  "Write four lines about an old library",
  "Why does it rain?",
];

export function Chat({ chat, busy, hidden }) {
  const turns = chat?.turns ?? [];
  const [editing, setEditing] = useState(null);
  const [away, setAway] = useState(false);
  const pages = useRef();
  useEffect(() => setEditing(null), [chat?.id]);
  useEffect(() => {
    const field = document.getElementById("edited");
    field?.focus();
    field?.setSelectionRange(field.value.length, field.value.length);
  }, [editing]);
  const toEnd = () => {
    pages.current.scrollTop = pages.current.scrollHeight;
  };
  useLayoutEffect(() => {
    if (!away) toEnd();
  }, [chat, away]);
  useLayoutEffect(() => setAway(false), [chat?.id, turns.length]);
  const scrolled = () => {
    const { scrollHeight, scrollTop, clientHeight } = pages.current;
    setAway(scrollHeight - scrollTop - clientHeight > NEAR);
  };
  const editLast = () => {
    const place = turns.findLastIndex((turn) => turn.role === "user");
    if (place >= 0 && !busy) setEditing(place);
  };
  return html`<section class="chat" aria-label="Chat" hidden=${hidden}>
    <div class="pages" ref=${pages} onScroll=${scrolled}>
      <div class="column">
        ${turns.length === 0 ? html`<${Welcome} />` : turns.map((turn, at) =>
          turn.role === "user"
            ? html`<${Said}
                key=${turn.key} turn=${turn} at=${at} editing=${editing === at} onEdit=${setEditing}
              />`
            : html`<${Answer}
                key=${turn.key} turn=${turn} at=${at} last=${at === turns.length - 1}
                busy=${busy !== null}
              />`,
        )}
      </div>
    </div>
    ${away && html`<${IconButton} icon="down" label="To the end" class="round to-end" onClick=${toEnd} />`}
    <div class="column"><${Composer} busy=${busy} onUp=${editLast} /></div>
  </section>`;
}

function Welcome() {
  return html`<div class="welcome">
    <h1>A quiet room to read and write in.</h1>
    <p>
      Ask something. Then look inside the answer: which tokens it is made of, what else could have
      stood in each place, and where another choice would have led.
    </p>
    <div class="beginnings">
      ${BEGINNINGS.map((text) => html`<button type="button" class="edged" onClick=${() => say(text)}>
        ${text}
      </button>`)}
    </div>
  </div>`;
}
