// What the server says. A failure is an Error whose message is the server's one line.

const EXPIRED =
  "This address has no valid token, or its server has ended: start cxrfuture browse again, and " +
  "open the address it prints.";

export class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
    this.hasExpired = status === 403 || status === 0;
  }
}

export async function fetchAnswer(path, signal) {
  let answer;
  try {
    answer = await fetch(path, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer: start cxrfuture browse again.", 0);
  }
  if (!answer.ok) throw new Failure(await readFailure(answer), answer.status);
  return answer;
}

export async function fetchJson(path, signal) {
  return (await fetchAnswer(path, signal)).json();
}

async function readFailure(answer) {
  if (answer.status === 403) return EXPIRED;
  try {
    return (await answer.json()).error ?? `The server answered ${answer.status}.`;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

// The query of a list: what is asked of /api/samples and /api/position.
export function listQuery({ split, kind, where, find, sort }, more = {}) {
  const query = new URLSearchParams({ split, kind });
  if (where.length) query.set("where", JSON.stringify(where));
  if (find) query.set("find", find);
  if (sort) query.set("sort", sort);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return query;
}

export function samplePath(start, { split, kind, key }) {
  return `${start}/${[split, kind, key].map(encodeURIComponent).join("/")}`;
}
