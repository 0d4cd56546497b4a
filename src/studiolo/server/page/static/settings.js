// Settings: what the model is told first, the dials of drawing, light or dark, and forgetting.

import { Dialog } from "./dialog.js";
import * as keep from "./keep.js";
import { DEFAULTS, get, set } from "./state.js";
import { stop } from "./talk.js";
import { html, useState } from "./ui.js";

const DIALS = [
  {
    name: "temperature", label: "Temperature", low: 0, high: 2, step: 0.1, empty: "the model's own",
    help: "How freely it draws. 0 always takes the likeliest token; above 1 it grows wild.",
  },
  {
    name: "top_p", label: "Top-p", low: 0, high: 1, step: 0.05, empty: "the model's own",
    help: "Draws only among the likeliest tokens that together reach this probability; 1 is all.",
  },
  {
    name: "max_tokens", label: "Longest answer", low: 1, high: 1_000_000, step: 1, empty: "256",
    help: "In tokens, each about three quarters of a word. A longer one can be gone on with.",
  },
  {
    name: "seed", label: "Seed", low: 0, high: Number.MAX_SAFE_INTEGER, step: 1, empty: "a new one each time",
    help: "The same seed and settings give the same answer, to the letter.",
  },
];
const THEMES = [[null, "As the system"], ["light", "Light"], ["dark", "Dark"]];

/** Change some settings, and keep them. */
export function change(changes) {
  const settings = { ...get().settings, ...changes };
  set({ settings });
  keep.keepSettings(settings);
}

/** Light, dark, or with null as the system has it. */
export function setTheme(theme) {
  keep.theme(theme);
  if (theme === null) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  set({ theme });
}

export function Settings({ settings, theme }) {
  return html`<${Dialog} title="Settings" onClose=${() => set({ open: null })}>
    <label class="field">
      <span>System prompt</span>
      <textarea
        rows="3" value=${settings.system} placeholder="You are …"
        onInput=${(event) => change({ system: event.target.value })}
      />
      <small>Said to the model before every conversation: who it is, how it should speak.</small>
    </label>
    <div class="dials">
      ${DIALS.map((dial) => html`<${Dial} key=${dial.name} dial=${dial} value=${settings[dial.name]} />`)}
    </div>
    <div>
      <button type="button" class="edged" onClick=${() => change({ ...DEFAULTS, model: settings.model })}>
        Back to the defaults
      </button>
    </div>
    <fieldset class="field">
      <legend>Light or dark</legend>
      <div class="choices">
        ${THEMES.map(([name, label]) => html`<label>
          <input
            type="radio" name="theme" checked=${theme === name} onChange=${() => setTheme(name)}
          /><span>${label}</span>
        </label>`)}
      </div>
    </fieldset>
    <${Forget} />
  <//>`;
}

function Dial({ dial, value }) {
  const [wrong, setWrong] = useState(null);
  const take = (event) => {
    const { value: text, validity, validationMessage } = event.target;
    setWrong(validity.valid ? null : validationMessage);
    if (validity.valid) change({ [dial.name]: text === "" ? null : Number(text) });
  };
  return html`<label class="field">
    <span>${dial.label}</span>
    <input
      type="number" inputmode="decimal" name=${dial.name} placeholder=${dial.empty} value=${value ?? ""}
      min=${dial.low} max=${dial.high} step=${dial.step === 1 ? 1 : "any"} onInput=${take}
      aria-invalid=${wrong !== null}
    />
    <small>${wrong ?? dial.help}</small>
  </label>`;
}

function Forget() {
  const [sure, setSure] = useState(false);
  const forget = async () => {
    await stop();
    keep.forgetAll();
    setTheme(null);
    set({ chats: [], chat: null, settings: DEFAULTS, open: null, notice: null });
  };
  return html`<section class="field">
    <h3>What is kept</h3>
    <small>
      Chats and settings are kept in this browser and nowhere else; a key until the tab is closed.
    </small>
    <div class="choices">
      ${sure
        ? html`<span>All of it, for good?</span>
            <button type="button" class="solid" onClick=${forget}>Forget everything</button>
            <button type="button" class="quiet" onClick=${() => setSure(false)}>Keep it</button>`
        : html`<button type="button" class="edged" onClick=${() => setSure(true)}>Forget everything …</button>`}
    </div>
  </section>`;
}
