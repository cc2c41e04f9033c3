// What the pages of all tabs share.

export const escape = (text) => {
  const node = document.createElement("span");
  node.textContent = text;
  return node.innerHTML.replaceAll('"', "&quot;");
};

export const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// Shows a line of text, or that something is wrong; a line that says so already is left alone, for screen readers.
export function say(line, text, isTrouble = false) {
  if (!line || line.textContent === (text || "")) return;
  line.textContent = text || "";
  line.classList.toggle("fa-trouble", Boolean(isTrouble));
}

// Calls a function of the server. What it refuses is thrown as an error with `isReply`, and with `isTemporary` if it may
// succeed later; without an answer, which Gradio gives as undefined, the error has neither.
export async function call(server, name, request) {
  const reply = await server[name](request);
  if (!reply) throw new Error("no answer");
  if (reply.error) throw Object.assign(new Error(reply.error), { isReply: true, isTemporary: reply.is_temporary });
  return reply;
}

// A text with its {values} filled in.
export const fill = (text, values) => text.replaceAll(/\{(\w+)\}/g, (_, name) => values[name]);
