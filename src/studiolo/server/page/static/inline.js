// Markdown within a line: code, bold, italic, links. A model wrote it, so it is never trusted: what
// comes of it are elements made one by one, with text in them, and links to http(s) alone.

import { h } from "./ui.js";

const DEEPEST = 8;
const CODE = /(`+)([^`]|[^`][^]*?[^`])\1(?!`)/y;
const LINK = /!?\[([^[\]]{1,1000})\]\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()<>]{0,500}\)[^\s()<>]{0,500})?)>?(?:\s+"[^"]{0,500}")?\s*\)/y;
const ADDRESS = /<?(https?:\/\/[^\s<>"'`]{1,2000}[^\s<>"'`.,;:!?)\]*_])>?/y;
const ESCAPED = /\\([!-/:-@[-`{-~])/y;
const RUN = /\*+|_+|~~/y;
const PLAIN = /[^\\`![<*_~h]+|h(?!ttps?:\/\/)/y;
const SPACE = /^\s?$/;
const WORD = /[\p{L}\p{N}]/u;

/** The nodes of a line of Markdown. */
export function inline(text) {
  const out = []; // nodes, and the marks that may yet open something: { mark, count }
  const open = { "*": [], _: [], "~": [] }; // where in `out` those stand
  let at = 0;
  const next = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at += found[0].length;
    return found;
  };
  const longest = new Set(); // lengths of runs of backticks that nothing closes
  while (at < text.length) {
    const start = at;
    let found;
    if ((found = next(PLAIN))) out.push(found[0]);
    else if ((found = next(ESCAPED))) out.push(found[1]);
    else if (text[at] === "`") {
      const run = /`+/y;
      run.lastIndex = at;
      const { length } = run.exec(text)[0];
      if (!longest.has(length) && (found = next(CODE))) {
        out.push(h("code", null, found[2].replace(/^ (.*) $/s, "$1")));
      } else {
        longest.add(length);
        at += length;
        out.push("`".repeat(length));
      }
    } else if ((found = next(LINK))) out.push(link(found[2], inline(found[1]), found[0]));
    else if ((found = next(ADDRESS))) out.push(link(found[1], [found[1]], found[0]));
    else if ((found = next(RUN))) {
      const before = text[start - 1] ?? "";
      const after = text[at] ?? "";
      marked(out, open, found[0], before, after);
    } else out.push(text[at++]);
  }
  return written(out);
}

/** Marks that opened nothing are text, and text that stands together is one. */
function written(out) {
  const nodes = [];
  for (const each of out) {
    const node = each.mark ? each.mark.repeat(each.count) : each;
    if (typeof node === "string" && typeof nodes.at(-1) === "string") nodes.push(nodes.pop() + node);
    else nodes.push(node);
  }
  return nodes;
}

/** A run of marks: closes what stands open before it, as far as it goes, and may open more. */
function marked(out, open, run, before, after) {
  const [mark] = run;
  let count = run.length;
  const within = mark === "_" && WORD.test(before) && WORD.test(after);
  const opens = !SPACE.test(after) && !within;
  const closes = !SPACE.test(before) && !within;
  const places = open[mark];
  while (closes && count > 0 && places.length) {
    const place = places.at(-1);
    const opener = out[place];
    const used = mark === "~" ? 2 : Math.min(2, count, opener.count);
    const inner = written(out.slice(place + 1));
    const deep = 1 + Math.max(0, ...inner.map((each) => each.deep ?? 0));
    if (deep > DEEPEST || !inner.length) break;
    const kind = mark === "~" ? "del" : used === 2 ? "strong" : "em";
    out.length = place + 1;
    for (const each of Object.values(open)) while (each.at(-1) > place) each.pop();
    out.push(Object.assign(h(kind, null, ...inner), { deep }));
    opener.count -= used;
    count -= used;
    if (opener.count === 0) {
      out.splice(place, 1);
      places.pop();
    }
  }
  if (count === 0) return;
  if (opens) places.push(out.length);
  out.push(opens ? { mark, count } : mark.repeat(count));
}

/** A link that can do no harm, or the text as it stands. */
function link(address, inner, text) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    return text; // relative ones would lead into this page
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return text;
  const safe = { href: url.href, target: "_blank", rel: "noopener noreferrer" };
  return h("a", safe, ...inner);
}
