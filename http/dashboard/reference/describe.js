/** OpenAPI and JSON Schema in words, examples and shell commands. Pure. */

const MAX_DEPTH = 5;
const TIME = "2026-01-31T09:30:00.123Z";

/** What a `$ref` leads to, with what stands beside it winning; other schemas as they are. */
export function resolve(doc, node) {
  let found = node ?? {};
  for (let hops = 0; found.$ref && hops < 10; hops += 1) {
    const { $ref, ...beside } = found;
    const target = $ref.slice(2).split("/").reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], doc);
    found = { ...target, ...beside };
  }
  return found;
}

/** The name of the component that `schema` refers to, if it does. */
export const refName = (schema) => schema?.$ref?.split("/").pop() ?? null;

/** The alternatives of a schema but for null, and whether null is one. */
export function alternatives(schema) {
  const all = schema.anyOf ?? schema.oneOf ?? [schema];
  return { kinds: all.filter((one) => one.type !== "null"), nullable: all.some((one) => one.type === "null") };
}

/** `integer or null`, `array of Trip`, `"asc" or "desc"`, … */
export function typeWords(doc, schema) {
  const { kinds, nullable } = alternatives(schema);
  const words = kinds.map((kind) => singleType(doc, kind));
  return [...new Set([...words, ...(nullable ? ["null"] : [])])].join(" or ");
}

function singleType(doc, schema) {
  const name = refName(schema);
  const target = resolve(doc, schema);
  if (target.enum) return target.enum.map((one) => JSON.stringify(one)).join(" or ");
  if ("const" in target) return JSON.stringify(target.const);
  if (name) return name;
  if (schema.type === "array") return schema.items ? `array of ${typeWords(doc, schema.items)}` : "array";
  if (schema.type === "object" && typeof schema.additionalProperties === "object" && Object.keys(schema.additionalProperties).length) {
    return `object of ${typeWords(doc, schema.additionalProperties)}`;
  }
  if (schema.format) return `${schema.type} (${schema.format})`;
  return schema.type ?? "any JSON";
}

/** What values are limited to: `1 to 200`, `at most 500 characters`, `default 50`. */
export function limits(schema) {
  const { kinds } = alternatives(schema);
  const one = kinds.length === 1 ? { ...schema, ...kinds[0] } : schema;
  return [
    span(one.minimum, one.maximum, ""),
    span(one.minLength, one.maxLength, " characters"),
    span(one.minItems, one.maxItems, " items"),
    one.pattern ? `pattern ${one.pattern}` : null,
    schema.default === undefined || schema.default === null ? null : `default ${JSON.stringify(schema.default)}`,
  ].filter(Boolean);
}

function span(low, high, unit) {
  const top = high !== undefined && high < Number.MAX_SAFE_INTEGER ? high : undefined;
  if (low !== undefined && top !== undefined) return `${low} to ${top}${unit}`;
  if (top !== undefined) return `at most ${top}${unit}`;
  if (low !== undefined && !(low === 0 && unit === "")) return `at least ${low}${unit}`;
  return low === 0 ? "not negative" : null;
}

/** The schema whose properties are to be shown below this one: its own, an item's, a value's. */
export function inner(doc, schema) {
  const { kinds } = alternatives(schema);
  for (const kind of kinds) {
    const target = resolve(doc, kind);
    if (target.properties && Object.keys(target.properties).length) return { schema: target, name: refName(kind) };
    const below = target.items ?? (typeof target.additionalProperties === "object" ? target.additionalProperties : null);
    const found = below && inner(doc, below);
    if (found) return found;
  }
  return null;
}

/** A value that fits, as a reader would expect to see it. */
export function example(doc, schema, name = "", depth = 0) {
  const { kinds, nullable } = alternatives(schema);
  const target = resolve(doc, kinds[0] ?? {});
  if (target.examples?.length) return target.examples[0];
  if (schema.default !== undefined && schema.default !== null) return schema.default;
  if (target.enum) return target.enum[0];
  if (depth >= MAX_DEPTH) return target.type === "array" ? [] : nullable ? null : {};
  switch (target.type) {
    case "object": return exampleObject(doc, target, depth);
    case "array": return exampleArray(doc, target, depth);
    case "integer": return Math.max(target.minimum ?? 0, /id$|cursor/.test(name) ? 184 : 1);
    case "number": return 0.5;
    case "boolean": return true;
    case "string": return exampleText(name, target);
    default: return {};
  }
}

function exampleObject(doc, target, depth) {
  const properties = Object.entries(target.properties ?? {});
  if (properties.length) return Object.fromEntries(properties.map(([key, one]) => [key, example(doc, one, key, depth + 1)]));
  return typeof target.additionalProperties === "object" ? { name: example(doc, target.additionalProperties, "", depth + 1) } : {};
}

/** A list whose items contain such lists themselves (a tree) ends after one more level. */
function exampleArray(doc, target, depth) {
  const name = refName(target.items);
  const nested = name && JSON.stringify(resolve(doc, target.items)).includes(`/${name}"`);
  return target.items && !(nested && depth > 2) ? [example(doc, target.items, "", depth + 1)] : [];
}

function exampleText(name, target) {
  if (/^(ts|timestamp|at|to|from|last_ts)$|_at$|_beat$|_triggered$|_update$/.test(name) || target.format === "date-time") return TIME;
  if (name === "trip_id") return "01JKX2V7Q4W5E6R7T8Y9U0A1B2";
  if (name === "type") return "strategy.candidate";
  if (/agent|source/.test(name)) return "my-agent";
  return name ? name.replaceAll("_", " ") : "text";
}

/** Words in single quotes for a POSIX shell. */
export const quoted = (words) => `'${words.replaceAll("'", `'\\''`)}'`;

/** A command that makes the call; parts in capitals are to be filled in. */
export function curl({ doc, base, path, method, operation, token = false }) {
  const parameters = (operation.parameters ?? []).map((one) => resolve(doc, one));
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) => {
    const schema = parameters.find((one) => one.in === "path" && one.name === name)?.schema ?? {};
    return schema.type === "integer" ? "1" : name.toUpperCase();
  });
  const query = parameters.filter((one) => one.in === "query" && (one.required || one.name === "limit"));
  const search = query.map((one) => `${encodeURIComponent(one.name)}=${encodeURIComponent(String(one.schema?.default ?? 1))}`).join("&");
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${quoted(`${base}${filled}${search ? `?${search}` : ""}`)}`];
  if (token) lines.push(`-H "Authorization: Bearer $ORCHESTRATOR_TOKEN"`);
  const body = requestExample(doc, operation);
  if (body !== undefined) lines.push(`-H 'Content-Type: application/json'`, `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

/** The body to send, or undefined. */
export function requestExample(doc, operation) {
  const media = resolve(doc, operation.requestBody).content?.["application/json"];
  if (!media) return undefined;
  return media.example ?? example(doc, media.schema ?? {});
}

/** The operations of an OpenAPI document in the order of its tags: `[{tag, text, operations: [{id, method, path, operation}]}]`. */
export function grouped(doc) {
  const groups = new Map((doc.tags ?? []).map((tag) => [tag.name, { tag: tag.name, text: tag.description ?? "", operations: [] }]));
  for (const [path, item] of Object.entries(doc.paths ?? {})) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = operation.tags?.[0] ?? "Others";
      if (!groups.has(tag)) groups.set(tag, { tag, text: "", operations: [] });
      groups.get(tag).operations.push({ id: operation.operationId, method, path, operation });
    }
  }
  return [...groups.values()].filter((group) => group.operations.length);
}

/** Whether each word of `query` is somewhere in `text`. */
export function finds(query, text) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const where = text.toLowerCase();
  return words.every((word) => where.includes(word));
}
