// Brings a page up to date: asks for it again without its frame and changes what differs. Focus, scroll and what is
// open stay, because no element is replaced that is still there. Rows do not jump: if some came or went, a button
// shows them. A hidden tab is quiet, and so is a page that is paused.
"use strict";

const body = document.body, words = body.dataset, banner = document.getElementById("banner");
const pauseButton = document.getElementById("pause");
let tag = "", paused = false, lost = false, held = null, timer = 0, running = null;

// Times in the reader's zone, as short as they are clear; the whole of it is in the tip.
function localize(root) {
  const language = document.documentElement.lang, now = new Date();
  const day = { month: "short", day: "numeric" }, clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const whole = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" });
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    const parts = { ...clock };
    if (time.closest("#as-of")) parts.second = "2-digit";
    if (at.toDateString() !== now.toDateString()) Object.assign(parts, day);
    if (at.getFullYear() !== now.getFullYear()) parts.year = "numeric";
    time.textContent = new Intl.DateTimeFormat(language, parts).format(at);
    time.title = whole.format(at);
  }
  for (const button of root.querySelectorAll("button.copy")) button.hidden = !navigator.clipboard;
}

const keys = (rows) => [...rows.children].map((row) => row.dataset.key);

function rowsDiffer(old, fresh) {
  const there = old.querySelector("[data-rows]"), come = fresh.querySelector("[data-rows]");
  if (!there || !come) return there || come ? 1 : 0;
  const before = keys(there), after = keys(come);
  if (before.join("\n") === after.join("\n")) return 0;
  const known = new Set(before), still = new Set(after);
  return after.filter((key) => !known.has(key)).length + before.filter((key) => !still.has(key)).length || 1;
}

// The rows that are still there get their news; none comes, goes or moves.
function freshenRows(old, fresh) {
  const come = new Map([...fresh.children].map((row) => [row.dataset.key, row]));
  for (const row of old.children) if (come.has(row.dataset.key)) morph(row, come.get(row.dataset.key));
}

function morph(old, fresh, hold) {
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  if (old.matches("input, select, textarea")) return; // what a reader types stays
  if (hold && old.matches("[data-rows]")) return freshenRows(old, fresh);
  const there = [...old.childNodes], come = [...fresh.childNodes];
  come.forEach((node, at) => {
    const now = there[at];
    if (!now) old.append(node);
    else if (now.nodeName !== node.nodeName) now.replaceWith(node);
    else if (node.nodeType === Node.ELEMENT_NODE) morph(now, node, hold);
    else if (now.nodeValue !== node.nodeValue) now.nodeValue = node.nodeValue;
  });
  for (const node of there.slice(come.length)) node.remove();
}

function say(text, action) {
  banner.replaceChildren();
  if (!text) return;
  if (!action) return void banner.append(text);
  const button = document.createElement("button");
  button.id = "show";
  button.textContent = text;
  button.addEventListener("click", action);
  banner.append(button);
}

function show(fresh, all) {
  const main = document.getElementById("content");
  localize(fresh);
  const changes = all ? 0 : rowsDiffer(main, fresh);
  held = changes ? fresh.cloneNode(true) : null;
  morph(main, fresh, changes > 0);
  const button = document.getElementById("show");
  const text = words.changes.replace("{number}", changes);
  if (changes && (!button || button.textContent !== text)) say(text, () => show(held, true));
  if (!changes) { say(""); if (all) main.focus({ preventScroll: true }); }
}

async function poll() {
  timer = 0;
  if (paused || document.hidden || !words.live) return;
  running = new AbortController();
  const limit = setTimeout(() => running.abort(), 15000);
  try {
    const headers = { "X-Fragment": "1", ...(tag && !held && !lost ? { "If-None-Match": tag } : {}) };
    const answer = await fetch(location.href, { headers, signal: running.signal, cache: "no-store" });
    if (answer.status === 304) {
      const at = document.querySelector("#as-of time");
      if (at) { at.dateTime = answer.headers.get("X-As-Of"); localize(at.parentElement); }
    } else if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      tag = answer.headers.get("ETag") || "";
      if (paused) return;
      if (lost) say("");
      lost = false;
      document.title = page.title;
      show(page.getElementById("content"), false);
    } else throw new Error(answer.status);
  } catch (error) {
    const at = document.querySelector("#as-of time");
    if (!lost && !paused) say(words.lost.replace("{time}", at ? at.textContent : "–"));
    lost = !paused;
  } finally {
    clearTimeout(limit);
    running = null;
    plan();
  }
}

function plan() {
  clearTimeout(timer);
  const seconds = Number(words.seconds) || 10;
  // Not all readers at one moment, also if all pages were opened at once.
  if (!paused && !document.hidden && words.live) timer = setTimeout(poll, seconds * 1000 * (0.8 + 0.4 * Math.random()));
}

function pause(stop) {
  paused = stop;
  pauseButton.setAttribute("aria-pressed", String(stop));
  pauseButton.textContent = stop ? words.resume : words.pause;
  if (stop) { clearTimeout(timer); if (running) running.abort(); } else if (!running) poll();
}

document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else if (!running) poll(); });
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  say(`${button.dataset.copy}: ${words.copied}`);
  setTimeout(() => { if (!lost && !held) say(""); }, 2000);
});
if (pauseButton && words.live) {
  pauseButton.hidden = false;
  pauseButton.addEventListener("click", () => pause(!paused));
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const field = document.getElementById("q") || document.getElementById("jump");
  if (field) { event.preventDefault(); field.focus(); }
});
localize(document);
plan();
