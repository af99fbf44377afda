// A user's notification session, live: a snapshot, then the log from there on over WebSocket or server-sent events. It uses nothing
// but what docs/http.md and docs/protocol.md describe. `?over=sse` or `?over=socket` chooses the way.
"use strict";

const $ = (id) => document.getElementById(id);
const params = new URLSearchParams(location.hash.slice(1));
if (params.has("token")) {
  sessionStorage.user = params.get("user") || "";
  sessionStorage.token = params.get("token");
  history.replaceState(null, "", location.pathname + location.search);
}

const inbox = {
  user: "", token: "", epoch: "", seq: 0,
  accounts: new Map(), // account -> {title, face, unread, head, read, notices: Map(conversationSeq -> notice)}
  shown: "",
  ways: [], connection: null, attempt: 0, timer: 0,
};

// ---- asking the server

async function ask(method, path, body) {
  const response = await fetch(path, {
    method, cache: "no-store", credentials: "omit",
    headers: { Authorization: `Bearer ${inbox.token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body && JSON.stringify(body),
  });
  const answer = response.status === 204 ? {} : await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.detail || answer.title), { status: response.status });
  return answer;
}

const mine = () => `/v1/users/${encodeURIComponent(inbox.user)}`;
const conversation = (account) => `${mine()}/conversations/${encodeURIComponent(`notification:${account}`)}`;

// ---- beginning: the conversations, and the place in the log that they stand for

async function begin() {
  const snapshot = await ask("GET", `${mine()}/snapshot?limit=100`);
  inbox.epoch = snapshot.epoch;
  inbox.seq = snapshot.seq;
  inbox.accounts.clear();
  const sessions = snapshot.conversations.filter((one) => one.conversation.kind === "notification");
  await Promise.all(sessions.map(async (one) => {
    const account = take(one);
    const history = await ask("GET", `${conversation(one.conversation.peer)}/messages?limit=50`);
    for (const message of history.messages) keep(account, message);
  }));
  inbox.shown = sessions.length ? sessions[0].conversation.peer : "";
  show();
}

function take(listed) {
  const name = listed.conversation.peer;
  const known = inbox.accounts.get(name) || { name, notices: new Map() };
  Object.assign(known, {
    title: listed.title || name, face: listed.faceURL, unread: listed.unread, head: listed.head, read: listed.read,
  });
  inbox.accounts.set(name, known);
  return known;
}

function keep(account, message, isNew) {
  account.notices.set(message.conversationSeq, { ...message, isNew });
}

/// What a conversation's list says is asked for again after something has happened to it, once for many entries.
const stale = new Set();
let asking = 0;
function refresh(account) {
  stale.add(account);
  if (asking) return;
  asking = setTimeout(async () => {
    const names = [...stale];
    stale.clear();
    asking = 0;
    await Promise.all(names.map(async (name) => {
      try { take(await ask("GET", conversation(name))); } catch { /* the next entry asks again */ }
    }));
    show();
  }, 100);
}

// ---- what the log says

function apply(entry) {
  // Every entry comes once and in order; a hole would mean that something is wrong with this page.
  if (entry.seq !== inbox.seq + 1) throw new Error(`seq ${entry.seq} after ${inbox.seq}`);
  inbox.seq = entry.seq;
  if (entry.conversation.kind !== "notification") return;
  const name = entry.conversation.peer;
  let account = inbox.accounts.get(name);
  if (!account) {
    account = { name, title: name, face: "", unread: 0, head: 0, read: 0, notices: new Map() };
    inbox.accounts.set(name, account);
    if (!inbox.shown) inbox.shown = name;
  }
  const notice = account.notices.get(entry.conversationSeq);
  if (entry.kind === 1) {
    keep(account, entry, true);
    account.head = Math.max(account.head, entry.conversationSeq);
  }
  if (entry.kind === 4 && notice) Object.assign(notice, { recalled: true, reason: entry.reason, content: null });
  if (entry.kind === 8 && notice) {
    if (entry.content) notice.content = entry.content;
    if (entry.statusLine) notice.statusLine = entry.statusLine;
  }
  if (entry.kind === 5) for (const seq of entry.conversationSeqs || []) account.notices.delete(seq);
  if (entry.kind === 6) for (const seq of account.notices.keys()) if (seq <= entry.conversationSeq) account.notices.delete(seq);
  refresh(name);
}

// ---- the connection

const WAYS = { socket: "WebSocket", sse: "events" };

/// A page that cannot connect waits longer each time, and never as long as its neighbours.
function later(hint) {
  const grown = Math.min(30000, 500 * 2 ** Math.min(inbox.attempt++, 6));
  return hint || grown / 2 + Math.random() * grown / 2;
}

async function connect() {
  clearTimeout(inbox.timer);
  const way = inbox.ways[0];
  try {
    const { ticket } = await ask("POST", "/v1/tickets", {});
    inbox.connection = way === "sse" ? listen(ticket) : converse(ticket);
  } catch (error) {
    if (error.status === 401) return leave("The token is not good, or no longer: sign in again.");
    lost(0, false);
  }
}

function opened() {
  inbox.attempt = 0;
  state(`live over ${WAYS[inbox.ways[0]]}`, "live");
}

/// The connection is over: for good, or until later.
function lost(hint, worked) {
  const connection = inbox.connection;
  inbox.connection = null;
  if (connection) connection.close();
  if (!inbox.user) return;
  // One that never worked may be in the way of something between here and the server: the other may not.
  if (!worked && inbox.attempt > 1 && inbox.ways.length > 1) inbox.ways.reverse();
  const wait = later(hint);
  state(`away; again in ${Math.max(1, Math.round(wait / 1000))} s`, "away");
  inbox.timer = setTimeout(connect, wait);
}

/// What the server's goodbye means for this page.
function bye(frame) {
  const final = {
    TOKEN_REVOKED: "The token was revoked: sign in again.",
    TOKEN_EXPIRED: "The token has expired: sign in again.",
    SUPERSEDED: "The same device is connected elsewhere.",
  }[frame.name];
  if (final) return leave(final);
  lost(frame.retryAfterMs, true);
}

/// The log cannot be continued: what is shown is of another history, or too old.
async function anew() {
  try {
    await begin();
  } catch { /* the next attempt finds out */ }
  lost(0, true);
}

function converse(ticket) {
  const address = new URL(`/v1/socket?ticket=${ticket}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address, "waybill.v1+json");
  let worked = false;
  const say = (frame) => socket.send(JSON.stringify(frame));
  socket.onopen = () => {
    say({ frame: "hello", software: "inbox.html" });
    say({ frame: "tail", request: 1, user: inbox.user, after: inbox.seq, epoch: inbox.epoch });
  };
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.frame === "tailOpened") { worked = true; opened(); }
    if (frame.frame === "page") { frame.entries.forEach(apply); show(); }
    if (frame.frame === "refused") { close(); anew(); }
    if (frame.frame === "bye") { close(); bye(frame); }
  };
  socket.onclose = () => { close(); lost(0, worked); };
  function close() {
    socket.onclose = socket.onmessage = null;
    socket.close();
  }
  return { close };
}

function listen(ticket) {
  const query = new URLSearchParams({ after: inbox.seq, epoch: inbox.epoch, ticket });
  const events = new EventSource(`${mine()}/log?${query}`);
  let worked = false;
  const on = (name, what) => events.addEventListener(name, ({ data }) => what(JSON.parse(data)));
  on("welcome", () => { worked = true; opened(); });
  on("entry", (entry) => { apply(entry); show(); });
  on("refused", () => { events.close(); anew(); });
  on("bye", (frame) => { events.close(); bye(frame); });
  // A ticket is good once: what EventSource does by itself would not get in.
  events.onerror = () => { events.close(); lost(0, worked); };
  return { close: () => events.close() };
}

// ---- showing it

function state(text, kind) {
  $("state").textContent = text;
  $("state").className = `state ${kind}`;
}

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

/// Only links that a browser may follow; anything else is not shown as one.
function link(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch { return null; }
}

function face(name, address) {
  const box = element("span", "face", [...(name || "?")][0]);
  box.style.setProperty("--hue", [...name].reduce((hue, letter) => (hue * 31 + letter.codePointAt(0)) % 360, 218));
  const source = link(address);
  if (source) {
    const image = element("img");
    image.alt = "";
    image.referrerPolicy = "no-referrer";
    image.onload = () => box.replaceChildren(image);
    image.src = source;
  }
  return box;
}

function moment(millis) {
  const date = new Date(millis);
  const today = new Date().toDateString() === date.toDateString();
  return date.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

function card(account, notice) {
  const content = notice.content || {};
  const made = element("article", `card${notice.isNew ? " new" : ""}${notice.recalled || notice.erased ? " gone" : ""}`);
  made.dataset.seq = notice.conversationSeq;
  const name = content.notificationName || notice.senderNickname || account.title;
  const head = element("div", "head");
  head.append(face(name, content.notificationFaceURL || notice.senderFaceURL || account.face), element("span", "name", name));
  if (notice.conversationSeq > account.read && !notice.recalled) head.append(element("span", "dot"));
  const time = element("time", "", moment(notice.time));
  time.dateTime = new Date(notice.time).toISOString();
  head.append(time);
  made.append(head);
  const gone = { expired: "This notice has expired.", superseded: "A newer notice took this one's place." };
  const text = notice.recalled ? gone[notice.reason] || "This notice was withdrawn." : notice.erased ? "What it said was erased." : content.text;
  made.append(element("p", "text", text || ""));
  if (notice.statusLine && notice.statusLine.text && !notice.recalled) {
    const line = element("span", "line", notice.statusLine.text);
    if (/^#[0-9a-f]{6}$/i.test(notice.statusLine.color || "")) line.style.setProperty("--line-color", notice.statusLine.color);
    made.append(line);
  }
  const picture = content.pictureElem && link((content.pictureElem.sourcePicture || {}).url);
  if (picture) {
    const image = element("img", "picture");
    image.alt = "";
    image.referrerPolicy = "no-referrer";
    image.src = picture;
    made.append(image);
  }
  const more = link(content.externalUrl);
  if (more) {
    const anchor = element("a", "more", "View details");
    anchor.href = more;
    anchor.target = "_blank";
    anchor.rel = "noopener noreferrer";
    made.append(anchor);
  }
  return made;
}

function badge(box, count) {
  box.hidden = !count;
  box.textContent = count > 99 ? "99+" : count || "";
}

function show() {
  const accounts = [...inbox.accounts.values()];
  const account = inbox.accounts.get(inbox.shown);
  const unread = accounts.reduce((sum, one) => sum + one.unread, 0);
  badge($("unread"), unread);
  document.title = unread ? `(${unread}) Notices` : "Notices";
  $("title").textContent = account ? account.title : "Notices";
  $("read").hidden = !account || !account.unread;
  $("accounts").hidden = accounts.length < 2;
  $("accounts").replaceChildren(...accounts.map((one) => {
    const button = element("button", "", one.title);
    button.setAttribute("aria-current", String(one === account));
    button.onclick = () => { inbox.shown = one.name; show(); };
    const count = element("span", "badge");
    badge(count, one.unread);
    button.append(count);
    return button;
  }));
  const notices = account ? [...account.notices.values()].sort((a, b) => b.conversationSeq - a.conversationSeq) : [];
  $("cards").replaceChildren(...notices.slice(0, 200).map((notice) => card(account, notice)));
  for (const notice of notices) notice.isNew = false;
  $("none").hidden = notices.length > 0;
}

// ---- coming and going

async function enter(user, token) {
  Object.assign(inbox, { user, token, attempt: 0 });
  const over = new URLSearchParams(location.search).get("over");
  inbox.ways = over in WAYS ? [over] : ["socket", "sse"];
  try {
    await begin();
  } catch (error) {
    return leave(error.status ? error.message : "The server cannot be reached.");
  }
  sessionStorage.user = user;
  sessionStorage.token = token;
  $("enter").hidden = true;
  $("inbox").hidden = false;
  connect();
}

function leave(why) {
  clearTimeout(inbox.timer);
  const connection = inbox.connection;
  Object.assign(inbox, { user: "", token: "", connection: null });
  if (connection) connection.close();
  sessionStorage.removeItem("token");
  $("inbox").hidden = true;
  $("enter").hidden = false;
  $("user").value = sessionStorage.user || "";
  $("wrong").hidden = !why;
  $("wrong").textContent = why || "";
}

$("enter").onsubmit = (event) => {
  event.preventDefault();
  enter($("user").value.trim(), $("token").value.trim());
};
$("leave").onclick = () => leave("");
$("read").onclick = async () => {
  const account = inbox.accounts.get(inbox.shown);
  try {
    await ask("PUT", `${conversation(account.name)}/read`, { conversationSeq: account.head });
    refresh(account.name);
  } catch { /* it can be asked again */ }
};

if (sessionStorage.user && sessionStorage.token) enter(sessionStorage.user, sessionStorage.token);
else leave("");
