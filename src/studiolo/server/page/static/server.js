// How the server is asked: with the key, if there is one, and its own words where it refuses.

import * as keep from "./keep.js";

/** What the server, or the way to it, says is wrong. `status` is 0 where it was not reached. */
export class Refusal extends Error {
  constructor(message, status, request) {
    super(message);
    this.status = status;
    this.request = request;
  }
}

async function asked(path, options = {}) {
  const key = keep.key();
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers, redirect: "error", cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal("The server does not answer. Is studiolo serve still running?", 0);
  }
  if (response.ok) return response;
  const request = response.headers.get("x-request-id");
  const body = await response.json().catch(() => null);
  const said = body?.error?.message ?? `The server answered with status ${response.status}.`;
  throw new Refusal(said, response.status, request);
}

/** The names of the models that may be asked for texts. */
export async function models() {
  try {
    const { data } = await (await asked("/studiolo/v1/models")).json();
    return data.filter((each) => each.family !== "encoder").map((each) => each.name);
  } catch (error) {
    if (error.status !== 403) throw error;
    // A key may be good for asking models, and not for looking at what they are.
    const { data } = await (await asked("/v1/models")).json();
    return data.map((each) => each.id);
  }
}

/** The events of an answer, as they come. Raises a Refusal, or what `signal` aborts with. */
export async function* answer(body, signal) {
  const response = await asked("/studiolo/v1/continue", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const request = response.headers.get("x-request-id");
  yield { request };
  let over = false;
  for await (const event of events(response.body.getReader(), signal)) {
    if (event.error) throw new Refusal(event.error.message, response.status, request);
    over ||= "ended" in event;
    yield event;
  }
  if (!over) throw new Refusal("The answer broke off: the connection has ended.", 0, request);
}

/** Server-sent events (WHATWG HTML, section 9.2) whose data is JSON; cut anywhere. */
export async function* events(reader, signal) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (signal?.aborted) throw error;
      return; // whoever reads sees that the end is missing
    }
    if (piece.done) return;
    rest += decoder.decode(piece.value, { stream: true });
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) yield JSON.parse(lines.map((line) => line.slice(5)).join("\n"));
    }
  }
}
