// OpenIM's SDK in JavaScript, as it is, in Node: told what to do by lines of JSON, tells answers and events by such lines.
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

// Browsers have it; there it is binary by the SDK's wish.
globalThis.WebSocket = class extends WebSocket {
  constructor(...where) {
    super(...where);
    this.binaryType = 'arraybuffer';
  }
};

const say = (line) => process.stdout.write(`@${JSON.stringify(line)}\n`);
const { getSDK, CbEvents } = await import('@openim/client-sdk/lib/index.modern.mjs');
const sdk = getSDK();
for (const event of new Set(Object.values(CbEvents))) {
  sdk.on(event, (said) => say({ event, data: said?.data, at: Date.now() }));
}

async function send({ text, to }) {
  const { data: message } = await sdk.createTextMessage(text);
  return sdk.sendMessage({ recvID: to, groupID: '', message });
}

const own = { send };

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, method, args } = JSON.parse(line);
  try {
    const answer = own[method] ? await own[method](...args) : await sdk[method](...args);
    say({ id, ok: true, data: answer?.data ?? null });
  } catch (error) {
    say({ id, ok: false, data: { code: error?.errCode, text: error?.errMsg ?? String(error) } });
  }
});
say({ event: 'ready', at: Date.now() });
