// What is looked at lives in the address: #split/kind/key?where=[...]&sort=-age. So a link, a
// reload and the back button all give it again.

export function readAddress() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  const [split = "", kind = "", key = ""] = path.split("/").map(decode);
  const options = new URLSearchParams(query);
  return {
    split, kind, key,
    where: readWhere(options.get("where")),
    find: options.get("find") ?? "",
    sort: options.get("sort") ?? "",
  };
}

export function writeAddress({ split, kind, key, where, find, sort }) {
  const query = new URLSearchParams();
  if (where.length) query.set("where", JSON.stringify(where));
  if (find) query.set("find", find);
  if (sort) query.set("sort", sort);
  const path = [split, kind, key].map(encodeURIComponent).join("/");
  return `#${path}${query.size ? `?${query}` : ""}`;
}

// Whether two addresses ask for the same list.
export function isSameList(one, other) {
  return (
    one.split === other.split &&
    one.kind === other.kind &&
    one.find === other.find &&
    one.sort === other.sort &&
    JSON.stringify(one.where) === JSON.stringify(other.where)
  );
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function readWhere(text) {
  try {
    const found = JSON.parse(text ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}
