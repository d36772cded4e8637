// What the page says when something is asked, wrong or over: a title and what to do.

export const IDLE = ["Who is speaking?", [
  "Speak into the microphone, or drop a recording anywhere on this page. Everybody who speaks gets a colour, and a name once you give one.",
  "The sound goes to this server only, and is deleted there once the result is made.",
]];

export const AWAY = ["The server is away", "Go on speaking: ten minutes of sound are kept here, and sent once it is back."];

export const LISTENING = {
  speaking: ["Listening…", "Labels come about a second after somebody speaks."],
  viewing: ["Nobody has spoken yet", "What is said appears here."],
};

export const SOUND = {
  asking: ["May this page listen?", "The browser asks for the microphone. Nothing is sent before you allow it."],
  denied: ["The microphone is blocked", "Allow it for this page: by the symbol beside the address, or in the settings of the browser. Then try again."],
  none: ["No microphone was found", "Plug one in, or choose another one below. A recording works without any."],
  busy: ["The microphone cannot be used", "Another program may hold it. Close that, or choose another microphone below."],
  insecure: ["The microphone needs a secure page", "Browsers give it to https:// pages and to this machine’s own (localhost) only. Ask whoever runs the server for its https:// address."],
  nosound: ["This file cannot be played", "The browser finds no sound in it that it knows. WAV, FLAC, MP3, OGG and M4A work nearly everywhere."],
  unknown: ["There is no sound", "The browser does not say why. Try again, or another browser."],
};

export const ENDS = {
  superseded: ["This session goes on elsewhere", "It was opened in another tab or program. What was shown here stays."],
  unknown_session: ["This session is not there any more", "It may have ended, or its results may have been deleted."],
  expired: ["This session waited too long", "The server made its result up to the interruption."],
  too_fast: ["The server takes no more now", "Too much came at once, or too many read along. Try again in a while."],
  max_duration: ["The session reached its longest length", "Its result is kept. Start a new one to go on."],
  idle: ["Nothing was heard for too long", "The server put the session aside."],
  forbidden: ["This token does not allow this", "Ask whoever runs the server for another one."],
};

export const AGAIN = {
  draining: "The server restarts…",
  full: "The server has no room for more, trying again…",
};

export const RELOADED = ["A session is still open", "The page was reloaded. Go on with it, or finish it and get its result. Sound from in between is not part of it."];
export const TOKEN = ["A token is needed", "This server lets in nobody without one."];
