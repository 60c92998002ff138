/* Watches a painting: the WebSocket on which states and frames come, opened again by itself when it drops. */

import { api, address } from "./api.js";

const decoder = new TextDecoder();

/** A message of the server: length, state, then a JPEG or nothing. */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const state = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, length)));
  const picture = buffer.byteLength > 4 + length ? new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" }) : null;
  return { state, picture };
}

/** Watches until the returned function is called. onMessage(state, blob or null) may take its time: nothing more comes meanwhile. */
export function watch(id, { onMessage, onLink, onGone }) {
  let socket = null, over = false, wait = 500, timer = null;

  function open() {
    timer = null;
    socket = new WebSocket(address.watch(id));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { wait = 500; onLink(true); socket.send(JSON.stringify({ have: -1 })); };
    socket.onmessage = async ({ data, target }) => {
      const { state, picture } = unpack(data);
      try { await onMessage(state, picture); } catch (error) { console.error(error); } // the next one may be shown
      if (!over && target.readyState === WebSocket.OPEN) target.send(JSON.stringify({ have: state.version }));
    };
    socket.onclose = () => { if (!over) { onLink(false); later(); } };
  }

  function later() {
    timer = setTimeout(look, wait);
    wait = Math.min(wait * 1.7, 8000);
  }

  /* A plain request first: it says whether we must log in, or the painting is gone, which a closed socket does not. */
  async function look() {
    timer = null;
    try {
      await api.painting(id);
      if (!over) open();
    } catch (error) {
      if (over) return;
      if (error.status === 404) onGone(error.message); else later();
    }
  }

  const soon = () => { if (timer !== null && document.visibilityState === "visible") { clearTimeout(timer); wait = 500; look(); } };
  document.addEventListener("visibilitychange", soon);
  window.addEventListener("online", soon);
  open();
  return () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", soon);
    window.removeEventListener("online", soon);
    socket?.close();
  };
}
