// The client under test: OpenIM's web SDK as it is. It does what the driver asks and tells every event.
import { getSDK, CbEvents } from '/sdk/lib/index.es.js';

const name = new URLSearchParams(location.search).get('name');
const sdk = getSDK({
  coreWasmPath: '/sdk/assets/openIM.wasm',
  sqlWasmPath: '/sdk/assets/sql-wasm.wasm',
  debug: false,
});

let waiting = [];
let sending = false;

// Events go out in order, together where they come together.
async function tell() {
  if (sending) return;
  sending = true;
  while (waiting.length > 0) {
    const events = waiting;
    waiting = [];
    await post('/events', events);
  }
  sending = false;
}

function post(path, body) {
  return fetch(`${path}?name=${name}`, { method: 'POST', body: JSON.stringify(body) });
}

for (const event of new Set(Object.values(CbEvents))) {
  sdk.on(event, (said) => {
    waiting.push({ event, data: said?.data, code: said?.errCode, at: Date.now() });
    tell();
  });
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// Shows a notification session as an application would: each notice with its own name and picture.
async function render(conversationID) {
  const { data: list } = await sdk.getConversationListSplit({ offset: 0, count: 100 });
  const session = list.find((one) => one.conversationID === conversationID);
  const { data: history } = await sdk.getAdvancedHistoryMessageList({
    conversationID, startClientMsgID: '', count: 40, viewType: 0,
  });
  const main = document.getElementById('session');
  main.replaceChildren();
  const header = element('header', undefined, main);
  element('h1', session.showName, header);
  element('b', `${session.unreadCount} unread`, header);
  for (const message of history.messageList) {
    const article = element('article', undefined, main);
    if (message.contentType === 2101) {
      article.className = 'recalled';
      element('p', 'This notice was recalled.', article);
      continue;
    }
    const notice = JSON.parse(message.notificationElem.detail);
    if (notice.notificationFaceURL?.startsWith('data:')) {
      element('img', undefined, article).src = notice.notificationFaceURL;
    } else {
      element('i', notice.notificationName.slice(0, 1), article);
    }
    const text = element('div', undefined, article);
    element('h2', notice.notificationName, text);
    element('p', notice.text, text);
    element('small', `seq ${message.seq} · type ${notice.notificationType}`, text);
  }
  return document.documentElement.outerHTML;
}

// All messages of a conversation that the history gives, from the newest to the first.
async function history(conversationID) {
  let found = [];
  let startClientMsgID = '';
  for (let page = 0; page < 200; page += 1) {
    const { data } = await sdk.getAdvancedHistoryMessageList({
      conversationID, startClientMsgID, count: 100, viewType: 0,
    });
    found = data.messageList.concat(found);
    if (data.isEnd || data.messageList.length === 0) break;
    startClientMsgID = data.messageList[0].clientMsgID;
  }
  return found;
}

// Makes a message and sends it.
async function send({ make, params, to }) {
  const { data: message } = await sdk[make](params);
  const { data } = await sdk.sendMessage({ recvID: to, groupID: '', message });
  return data;
}

const own = { render, history, send };

async function done(id, work) {
  try {
    const answer = await work();
    await post('/done', { id, ok: true, data: answer });
  } catch (error) {
    const said = { code: error?.errCode, text: error?.errMsg ?? String(error) };
    await post('/done', { id, ok: false, data: said });
  }
}

async function serve() {
  for (;;) {
    const asked = await fetch(`/next?name=${name}`);
    const task = await asked.json();
    if (task) {
      const { id, method, args } = task;
      done(id, async () => (own[method] ? own[method](...args) : (await sdk[method](...args))?.data));
    }
  }
}

await post('/events', [{ event: 'ready', at: Date.now() }]);
serve();
