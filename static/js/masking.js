// SPDX-License-Identifier: Apache-2.0
// Which values are secret, by the names they have; the words are those of the server. Pure.

export const MASK = "********";
const WORDS = new Set([
  "key", "keys", "token", "secret", "secrets", "password", "passwords", "credential", "credentials",
]);
const USER_INFORMATION = /([A-Za-z][A-Za-z0-9+.-]{0,30}:\/\/)[^/?#@\s]*(?:@[^/?#@\s]*)*@/g;
const QUERY_VALUE = /([?&;])([^=&;#\s?]+)=([^&;#\s]+)/g;

/** Whether a value of this name is hidden: `api_key` is, `min_retrieve_tokens` is not. */
export function isSecret(name) {
  const words = name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").split(/[_\-.\s]+/);
  return words.some((word) => WORDS.has(word.toLowerCase()));
}

/** A text with the secrets hidden that stand in URLs within it. */
export function maskedText(text) {
  return text
    .replace(USER_INFORMATION, `$1${MASK}@`)
    .replace(QUERY_VALUE, (_all, mark, name, value) => `${mark}${name}=${isSecret(name) ? MASK : value}`);
}

/** A value with what is secret in it hidden, at any depth; nothing is hidden of null and of booleans. */
export function masked(name, value) {
  if (value === null || value === undefined || typeof value === "boolean" || value === "") return value;
  if (isSecret(name)) return MASK;
  if (Array.isArray(value)) return value.map((part) => masked("", part));
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, masked(key, part)]));
  }
  return typeof value === "string" ? maskedText(value) : value;
}

/** Whether the server has hidden something of a value. */
export function holdsMask(value) {
  if (typeof value === "string") return value.includes(MASK);
  return typeof value === "object" && value !== null && Object.values(value).some(holdsMask);
}

/** Whether anything of a value is hidden. */
export function isMasked(name, value) {
  return hides(value, masked(name, value));
}

function hides(value, shown) {
  if (typeof value !== "object" || value === null || typeof shown !== "object") return value !== shown;
  return Object.keys(value).some((key) => hides(value[key], shown[key]));
}
