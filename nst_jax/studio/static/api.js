/* The server's protocol: every request that the page makes, and the addresses of pictures. */

export class ApiError extends Error {
  constructor(text, status, field) {
    super(text);
    this.status = status;
    this.field = field;
  }
}

async function send(method, path, body, signal) {
  const raw = body instanceof Blob || body === undefined;
  const headers = raw ? {} : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(path, { method, headers, body: raw ? body : JSON.stringify(body), signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The studio does not answer. Is it still running?", 0);
  }
  if (response.status === 401) {
    location.assign("/login");
    return new Promise(() => {});
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(answer.error || `The studio said no (${response.status}).`, response.status, answer.field);
  return answer;
}

const get = (path) => send("GET", path);
const post = (path, body = {}, signal) => send("POST", path, body, signal);
const painting = (id) => `/api/paintings/${encodeURIComponent(id)}`;

export const api = {
  form: () => get("/api/form"),
  upload: (blob) => post("/api/pictures", blob),
  sample: (name) => post(`/api/samples/${encodeURIComponent(name)}`),
  plan: (ask, signal) => post("/api/plan", ask, signal),
  paint: (ask) => post("/api/paintings", ask),
  paintings: () => get("/api/paintings"),
  painting: (id) => get(painting(id)),
  remove: (id) => send("DELETE", painting(id)),
  turn: (id, turn) => post(`${painting(id)}/turn`, turn),
  pause: (id) => post(`${painting(id)}/pause`),
  goOn: (id) => post(`${painting(id)}/go-on`),
  finish: (id) => post(`${painting(id)}/finish`),
  back: (id, step) => post(`${painting(id)}/back`, { step }),
  branch: (id, step, turn) => post(`${painting(id)}/branch`, { step, turn }),
  makeGrid: (ask) => post("/api/grids", ask),
  grid: (id) => get(`/api/grids/${encodeURIComponent(id)}`),
  restore: (blob) => post("/api/restore", blob),
};

export const address = {
  sample: (name) => `/samples/${encodeURIComponent(name)}.jpg`,
  picture: (id, edge) => `/api/pictures/${encodeURIComponent(id)}${edge ? `?edge=${edge}` : ""}`,
  /** `turn` makes the address new when the same step may have another picture (after going back). */
  frame: (id, step, small = false, turn = 0) => `${painting(id)}/frames/${step}.jpg?${small ? "small=1&" : ""}t=${turn}`,
  take: (id, what) => `${painting(id)}/${what}`,
  cell: (id, row, column) => `/api/grids/${encodeURIComponent(id)}/${row}-${column}.jpg`,
  watch: (id) => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${painting(id)}/watch`,
};

/** A picture as something to draw, by its address. */
export async function fetchBitmap(path) {
  const response = await fetch(path, { credentials: "same-origin" });
  if (!response.ok) throw new ApiError("This picture is no longer there.", response.status);
  return createImageBitmap(await response.blob());
}
