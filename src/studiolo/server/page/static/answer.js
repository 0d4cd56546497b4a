// One answer on its way: what it is made of, and how the server's events add to it.

/** An answer that begins with `tokens`. `pace` is of this moment, and is not kept. */
export function begin(model, system, tokens) {
  const answer = { model, system, text: "", tokens: [...tokens], ended: null, receipt: null };
  return { answer, pace: { first: null, drawn: 0, heard: 0 } };
}

/** Add what an event of the server tells. */
export function take({ answer, pace }, event) {
  if ("request" in event) {
    answer.request = event.request;
  } else if ("begun" in event) {
    answer.text = event.begun;
    answer.model = event.model;
    pace.heard = event.begun.length;
  } else if ("ended" in event) {
    answer.ended = event.ended;
    answer.receipt = event.receipt;
  } else {
    const now = performance.now();
    pace.first ??= now;
    pace.drawn += event.tokens.length;
    if (now > pace.first) answer.rate = (pace.drawn - 1) / ((now - pace.first) / 1000);
    write(answer, event);
  }
}

/** Each token knows how much of the text there is after it, so that the text can be cut there. */
function write(answer, { text, tokens }) {
  let at = answer.text.length;
  answer.text += text;
  for (const token of tokens) {
    at = Math.min(at + token.text.length, answer.text.length);
    answer.tokens.push({ ...token, at });
  }
  if (tokens.length) answer.tokens.at(-1).at = answer.text.length;
}

/** What a screen reader is to be told next: whole sentences, and at last how it ended. */
export function unheard({ answer, pace }, last) {
  const rest = answer.text.slice(pace.heard);
  const length = last ? rest.length : (/^[^]*[.!?:\n](?=\s)/.exec(rest)?.[0].length ?? 0);
  pace.heard += length;
  const endings = { stopped: "Stopped.", failed: answer.error?.message };
  const ending = last ? (endings[answer.ended] ?? "") : "";
  return `${rest.slice(0, length)} ${ending}`.trim();
}
