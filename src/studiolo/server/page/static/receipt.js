// The receipt of an answer: what was made, of what, how; and how to make it again to the bit.

import { Dialog } from "./dialog.js";
import { Copy, Icon, html } from "./ui.js";

const COMMAND = "studiolo replay receipt.json";
const WHY_NOT = {
  stopped: "This answer was stopped: when that happened cannot be made again, so it has no receipt.",
  failed: "This answer did not come to its end, so it has no receipt.",
  cut: "You ended this answer yourself, so it has no receipt.",
};
const GONE =
  "There is no receipt here: the model answers elsewhere, or the receipt had to make room in this browser.";

export function Receipt({ answer, onClose }) {
  const { receipt } = answer;
  return html`<${Dialog} title="Receipt" onClose=${onClose}>
    ${receipt ? html`<${Told} file=${receipt} answer=${answer} />` : html`
      <p>${WHY_NOT[answer.ended] ?? GONE}</p>`}
    ${answer.request && html`<p class="aside">Request <code>${answer.request}</code></p>`}
  <//>`;
}

function Told({ file, answer }) {
  const receipt = JSON.parse(file);
  const { engine, model, asked, outputs, digests } = receipt;
  const facts = [
    ["Model", model.name],
    ["Weights", model.weights],
    ["Arithmetic", `${engine.arithmetic}, Studiolo ${engine.studiolo}`],
    ["Seed", String(asked.seed)],
    ["Tokens", `${asked.prompt.length} of the prompt, ${outputs[0].token_ids.length} made`],
    ["Output", digests.output],
  ];
  const chosen = answer.tokens.some((token) => token.chosen);
  return html`
    <p>
      It says what was made, of what and how, exactly enough to make it again. To do so, and compare
      every bit, save it and run:
    </p>
    <div class="command"><code>${COMMAND}</code><${Copy} text=${COMMAND} label="Copy the command" /></div>
    <dl class="facts">
      ${facts.map(([name, value]) => html`<dt>${name}</dt><dd title=${value}>${value}</dd>`)}
    </dl>
    ${chosen && html`<p class="aside">
      It is of what came after the token you chose; all before is part of its prompt.
    </p>`}
    <p class="aside">
      The conversation is in it, as token ids that anybody with the model can read. Keep it as you
      would keep the conversation.
    </p>
    <details>
      <summary>The file</summary>
      <pre tabindex="0" class="file">${JSON.stringify(receipt, null, 1)}</pre>
    </details>
    <div class="actions">
      <button type="button" class="solid" onClick=${() => save(file)}>
        <${Icon} name="save" /><span>Save receipt.json</span>
      </button>
    </div>`;
}

/** The file as the server wrote it, byte for byte: its digests are of those numbers. */
function save(file) {
  const url = URL.createObjectURL(new Blob([file], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: "receipt.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
