// What the page asks, and what it gives to take away.

import { $ } from "./look.js";
import { make, shownName } from "./view.js";

const FORMATS = [
  ["rttm", "RTTM", "for diarization tools"], ["json", "JSON", "everything, for programs"], ["srt", "SRT", "subtitles"],
  ["vtt", "WebVTT", "subtitles for the web"], ["txt", "Text", "to read"], ["csv", "CSV", "for spreadsheets"],
  ["TextGrid", "TextGrid", "for Praat"], ["audacity.txt", "Audacity", "labels"], ["html", "HTML", "a page with a picture"],
];

for (const button of document.querySelectorAll("[data-close]")) button.onclick = () => button.closest("dialog").close();

/** Ask for the token; use(token) where one is given. */
export function askToken(problem, use) {
  const given = () => {
    const token = $("token").value.trim();
    if (!token) return;
    $("token-dialog").close();
    use(token);
  };
  $("token-error").textContent = problem;
  $("token").value = "";
  $("token-ok").onclick = given;
  $("token").onkeydown = (event) => event.key === "Enter" && given();
  $("token-dialog").showModal();
}

/** Ask who else a speaker is; merge(id, into) where somebody is. */
export function askMerge(state, id, merge) {
  const others = [...state.speakers.keys()].filter((other) => state.who(other) === other && other !== id);
  const option = (value) => make("option", { value, textContent: shownName(state.label(value)) });
  $("merge-title").textContent = `Who else is ${shownName(state.label(id))}?`;
  $("merge-into").replaceChildren(...others.map(option));
  $("merge-ok").onclick = () => {
    merge(id, $("merge-into").value);
    $("merge-dialog").close();
  };
  $("merge-dialog").showModal();
}

/** Show the link for viewers; the token in it goes to no server by itself, as it stands behind the #. */
export function offerLink(session, token) {
  const address = `${location.origin}/v?session=${session}`, secret = token ? `#token=${token}` : "";
  $("share-link").value = address + secret;
  $("share-overlay").value = `${address}&overlay=1${secret}`;
  $("share-note").textContent = secret
    ? "Whoever has it can read along for a day, and change nothing."
    : "It works wherever this server can be reached.";
  $("share-copy").textContent = "Copy link";
  $("share-copy").onclick = async () => {
    $("share-link").select();
    try {
      await navigator.clipboard.writeText($("share-link").value);
      $("share-copy").textContent = "Copied";
    } catch { /* it is selected: to be copied by hand */ }
  };
  $("share-dialog").showModal();
  $("share-link").select();
}

/** A result; the token goes in a header, so that it stands in no address. */
export async function fetchResult(session, suffix, pass, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(`/v1/sessions/${session}/result.${suffix}?pass=${pass}`, { headers, cache: "no-store" });
  if (!answer.ok) throw new Error(answer.status === 404 ? "It is not kept any more." : `The server says ${answer.status}.`);
  return answer;
}

/** Results in every format: the live one at any time, the final one once the session is over. */
export function offerDownloads({ session, token, over }) {
  const [final, live] = $("save-dialog").querySelectorAll("[name=pass]");
  final.disabled = !over;
  (over ? final : live).checked = true;
  $("save-error").textContent = "";
  const save = async (suffix) => {
    const pass = final.checked ? "final" : "live";
    try {
      const href = URL.createObjectURL(await (await fetchResult(session, suffix, pass, token)).blob());
      make("a", { href, download: `${session}.${pass}.${suffix}` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10_000);
      $("save-error").textContent = "";
    } catch (error) {
      $("save-error").textContent = `No result: ${error.message}`;
    }
  };
  $("formats").replaceChildren(...FORMATS.map(([suffix, name, use]) => {
    const button = make("button", { className: "quiet", onclick: () => save(suffix) }, make("b", { textContent: name }), make("small", { textContent: use }));
    button.dataset.suffix = suffix;
    return button;
  }));
  $("save-dialog").showModal();
}
