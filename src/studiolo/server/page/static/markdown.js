// Markdown to elements: paragraphs, headings, lists, quotations, tables and code. A small part of
// CommonMark, forgiving: any text is some Markdown, and half of one, while it streams, as well. As
// in inline.js nothing that a model wrote is ever read as HTML.

import { inline } from "./inline.js";
import { Copy, h, html, memo } from "./ui.js";

const DEEPEST = 6;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|(\d{1,9})[.)])( +|$)/;
const BARS = /^ *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *$/;
const BLANK = /^\s*$/;

/** A text of a model, as elements. */
export const Markdown = memo(function Markdown({ text }) {
  return html`<div class="prose">${blocks(text.replace(/\t/g, "    ").split("\n"), 0)}</div>`;
});

function blocks(lines, depth) {
  const out = [];
  for (let at = 0; at < lines.length; ) {
    if (BLANK.test(lines[at])) {
      at += 1;
      continue;
    }
    const kind = depth < DEEPEST ? kindOf(lines, at) : paragraph;
    const [node, next] = kind(lines, at, depth);
    out.push(node);
    at = next;
  }
  return out;
}

function kindOf(lines, at) {
  const line = lines[at];
  if (FENCE.test(line)) return code;
  if (HEADING.test(line)) return heading;
  if (RULE.test(line)) return rule;
  if (QUOTE.test(line)) return quotation;
  if (ITEM.test(line)) return list;
  if (line.includes("|") && lines[at + 1]?.includes("|") && BARS.test(lines[at + 1])) return table;
  return paragraph;
}

function paragraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && !BLANK.test(lines[end])) {
    if (depth < DEEPEST && interrupts(lines, end)) break;
    end += 1;
  }
  return [h("p", null, ...inline(lines.slice(at, end).map((line) => line.trim()).join("\n"))), end];
}

/** Whether another kind of block begins in the middle of a paragraph. */
function interrupts(lines, at) {
  const kind = kindOf(lines, at);
  return kind === list ? /^ *(?:[-*+]|1[.)]) +\S/.test(lines[at]) : kind !== paragraph;
}

function code(lines, at) {
  const [, fence, language] = FENCE.exec(lines[at]);
  const last = lines.findIndex(
    (line, i) => i > at && line.trim().startsWith(fence) && /^[`~]*$/.test(line.trim()),
  );
  const end = last < 0 ? lines.length : last;
  const text = lines.slice(at + 1, end).join("\n");
  const node = html`<div class="code">
    <div class="code-head"><span>${language || "code"}</span><${Copy} text=${text} words /></div>
    <pre tabindex="0"><code>${text}</code></pre>
  </div>`;
  return [node, end + 1];
}

function heading(lines, at) {
  const [, marks, text] = HEADING.exec(lines[at]);
  return [h(`h${Math.min(6, marks.length + 2)}`, null, ...inline(text)), at + 1];
}

const rule = (lines, at) => [h("hr"), at + 1];

function quotation(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [h("blockquote", null, ...blocks(inner, depth + 1)), end];
}

function list(lines, at, depth) {
  const [, margin, , number] = ITEM.exec(lines[at]);
  const items = [];
  let loose = false;
  while (at < lines.length) {
    const found = ITEM.exec(lines[at]);
    const ordered = found !== null && found[3] !== undefined;
    if (!found || found[1].length > margin.length + 3 || ordered !== (number !== undefined)) break;
    if (found[1].length < margin.length || RULE.test(lines[at])) break;
    const end = endOfItem(lines, at, found[0].length);
    const inner = lines.slice(at, end).map((line, i) => dedented(line, i === 0, found[0].length));
    loose ||= BLANK.test(inner.at(-1)) && end < lines.length && ITEM.test(lines[end]);
    items.push(inner);
    at = end;
  }
  const whole = items.map((inner) => h("li", null, ...tight(blocks(inner, depth + 1), loose)));
  if (number === undefined) return [h("ul", null, ...whole), at];
  return [h("ol", { start: Number(number) }, ...whole), at];
}

/** Up to the next item, or to a line after a blank one that stands too far left to belong. */
function endOfItem(lines, at, indent) {
  let end = at + 1;
  let blank = false;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    const left = line.length - line.trimStart().length;
    if (BLANK.test(line)) blank = true;
    else if (left >= Math.min(indent, 2) && left > 0) blank = false;
    else if (blank || ITEM.test(line) || interrupts(lines, end)) break;
  }
  return end;
}

function dedented(line, first, indent) {
  if (first) return line.slice(indent);
  const left = line.length - line.trimStart().length;
  return line.slice(Math.min(left, indent));
}

/** Items that no blank line parts show their text without a paragraph of its own. */
const tight = (nodes, loose) =>
  loose ? nodes : nodes.flatMap((node) => (node.type === "p" ? node.props.children : [node]));

function table(lines, at) {
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const head = cells(lines[at]);
  const rows = lines.slice(at + 2, end).map(cells);
  const row = (kind, texts) =>
    h("tr", null, ...head.map((_, i) => h(kind, null, ...inline(texts[i] ?? ""))));
  const body = h("tbody", null, ...rows.map((texts) => row("td", texts)));
  const whole = h("table", null, h("thead", null, row("th", head)), body);
  return [h("div", { class: "wide", tabindex: 0 }, whole), end];
}

const cells = (line) =>
  line.trim().replace(/^\|/, "").replace(/\|$/, "").split("|").map((cell) => cell.trim());
