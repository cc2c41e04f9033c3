// The Label page: consent -> practice -> questions -> completion code.

import { call as callServer, escape, fill, say as sayOn, wait } from "../common/page.js";

export function start({ element, server, words, language }) {
  const root = element.querySelector(".lab");
  const MEMORY = "freeavatar.label";
  const word = (key, values = {}) => fill(words[key], values);
  const state = { annotator: "", form: "", queue: [], current: null, since: 0, busy: Promise.resolve(), keys: {},
    waiting: new Set(), known: new Set(), unanswered: new Set() };

  // ---- small tools

  function remember(more) {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(MEMORY)) || {};
      if (more) localStorage.setItem(MEMORY, JSON.stringify({ ...kept, ...more }));
    } catch { /* private windows have no storage: the id in the address does */ }
    return { ...kept, ...more };
  }

  // Calls the server until it answers; a lost connection or a full disk costs time, never an answer.
  async function call(name, request) {
    const message = { annotator: state.annotator, form: state.form, language, client: navigator.userAgent,
      holding: [...state.unanswered], ...request }; // any other open question of ours is asked again
    for (let pause = 1; ; pause = Math.min(2 * pause, 15)) {
      try {
        const reply = await callServer(server, name, message);
        state.waiting.delete(message);
        if (!state.waiting.size && root.querySelector(".fa-trouble")) say("");
        return reply;
      } catch (error) {
        if (error.isReply && !error.isTemporary) {
          say(error.message, true);
          throw error;
        }
        state.waiting.add(message);
        say(error.isReply ? word("kept", { error: error.message }) : words.connection, true);
      }
      await wait(pause);
    }
  }

  // Answers of this annotator that the server has not confirmed, oldest first; the browser keeps them until it has.
  const unsent = () => (remember().unsent || []).filter(({ annotator }) => annotator === state.annotator);

  function keepUnsent(change) {
    const before = remember().unsent || [];
    remember({ unsent: change(before) });
  }

  async function send(request) {
    try {
      return await call("answer", request);
    } finally {
      state.unanswered.delete(request.lease);
      keepUnsent((all) => all.filter(({ lease }) => lease !== request.lease));
    }
  }

  // What an earlier visit could not send.
  async function sendKept() {
    for (const request of unsent()) {
      state.known.add(request.lease);
      state.unanswered.add(request.lease);
    }
    for (const request of unsent()) {
      try {
        const { done, quota, code } = await send(request);
        Object.assign(state.progress, { done, quota, code });
      } catch { /* refused: call() has said why */ }
    }
  }

  const say = (text, isTrouble) => sayOn(root.querySelector(".lab-say"), text, isTrouble);

  function show(html, keys) {
    const trouble = root.querySelector(".fa-trouble")?.textContent;
    root.innerHTML = html + '<p class="lab-say" role="status" aria-live="polite"></p>';
    if (trouble) say(trouble, true);
    state.keys = keys || {};
  }

  function on(selector, act) {
    root.querySelectorAll(selector).forEach((node, k) => node.addEventListener("click", () => act(k, node)));
  }

  function media(source, name) {
    return source.startsWith("data:video")
      ? `<video src="${source}" aria-label="${name}" autoplay loop muted playsinline></video>`
      : `<img src="${source}" alt="${name}" draggable="false">`;
  }

  document.addEventListener("keydown", (event) => {
    const isTyping = /^(input|textarea|select)$/i.test(event.target.tagName) || event.target.isContentEditable;
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || event.repeat || !root.offsetParent) return;
    // Enter presses a focused button; on a face it sends the grid.
    if (event.key === "Enter" && event.target.closest?.("button:not([data-face])")) return;
    const act = state.keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });

  // ---- who is it

  function fromLink() {
    const link = new URLSearchParams(location.search);
    state.form = link.get("form") || "";
    if (link.get("PROLIFIC_PID")) return { source: "prolific", key: link.get("PROLIFIC_PID") };
    const id = link.get("annotator");
    if (id && id.startsWith("anonymous:")) return { source: "anonymous", key: id.slice(10) };
    if (id) return { source: "link", key: id };
    const kept = remember().annotator;
    return kept ? { source: kept.split(":")[0], key: kept.slice(kept.indexOf(":") + 1) } : {};
  }

  async function begin() {
    const met = await call("hello", { annotator: "", ...fromLink() });
    state.annotator = met.annotator;
    remember({ annotator: met.annotator });
    if (met.annotator.startsWith("anonymous:")) {
      const link = new URL(location);
      link.searchParams.set("annotator", met.annotator);
      history.replaceState(history.state, "", link);
    }
    state.progress = met;
    if (!met.has_consented) consent(met);
    else if (remember().practised === met.annotator) questions();
    else practice();
  }

  // ---- consent

  async function consent({ consent: paragraphs, consent_id }) {
    show(`<div class="lab-page">
      <h2>${words.title}</h2>
      ${state.isAgain ? `<p class="lab-text"><b>${words.changed}</b></p>` : ""}
      ${paragraphs.map((text) => `<p class="lab-text">${escape(text)}</p>`).join("")}
      <h3>${words.judge}</h3>
      <p class="lab-text">${words.criterion}</p>
      <div class="lab-example"></div>
      <div class="lab-row"><button class="lab-main" data-go>${words.agree}</button></div></div>`);
    on("[data-go]", async (_, button) => {
      button.disabled = true;
      const reply = await call("agree", { consent_id });
      if (reply.consent) {
        askConsent(reply);
        return;
      }
      state.isAgain = false;
      if (remember().practised === state.annotator) questions();
      else practice();
    });
    const items = await practiceItems();
    const place = root.querySelector(".lab-example");
    if (!place || !items.length) return;
    const { images, odd, note } = items[0];
    const pictures = images.map(
      (source, k) => `<div class="lab-face ${k === odd ? "lab-right" : ""}">${media(source, word("example", { number: k + 1 }))}
        <span class="lab-tag">${k === odd ? words.odd : words.alike}</span></div>`);
    place.innerHTML = `<div class="lab-three">${pictures.join("")}</div><p class="lab-text">${escape(note)}</p>`;
  }

  // The owner changed the text: what was on screen waits.
  function askConsent(reply) {
    state.isAgain = true;
    if (state.current) state.queue.unshift(state.current);
    state.current = null;
    consent(reply);
  }

  // ---- practice

  async function practice() {
    show(`<h2>${words.practice}</h2><p class="lab-lead">${words["practice.making"]}</p>`);
    drill(await practiceItems(), 0);
  }

  // The first start of the server renders them in the background.
  async function practiceItems() {
    for (;;) {
      const { items, is_ready } = await call("practice", {});
      if (items.length || is_ready) return items;
      await wait(2);
    }
  }

  function drill(items, number) {
    if (number >= items.length) {
      remember({ practised: state.annotator });
      questions();
      return;
    }
    const { images, odd, note } = items[number];
    const pick = (k) => {
      say("");
      faces()[k].classList.add(k === odd ? "lab-right" : "lab-wrong");
      faces()[k].setAttribute("aria-pressed", "true");
      if (k !== odd) {
        say(words["practice.wrong"], true);
        return;
      }
      say(word("practice.right", { note }));
      const next = root.querySelector("[data-next]");
      next.hidden = false;
      next.focus();
      state.keys = { Enter: () => drill(items, number + 1) };
    };
    show(`
      <h2>${word("practice.title", { number: number + 1, count: items.length })}</h2>
      <p class="lab-lead">${words.criterion}</p>
      ${three(images)}
      <div class="lab-row"><button class="lab-main" data-next hidden>${words.next} <kbd>${words.enter}</kbd></button></div>`,
      { 1: () => pick(0), 2: () => pick(1), 3: () => pick(2) });
    on("[data-face]", pick);
    on("[data-next]", () => drill(items, number + 1));
  }

  const faces = () => root.querySelectorAll("[data-face]");
  const three = (images) => `<div class="lab-three">${images
    .map((source, k) => `<button class="lab-face" data-face aria-pressed="false">${media(source, word("face", { number: k + 1 }))}
      <span class="lab-tag"><kbd>${k + 1}</kbd></span></button>`)
    .join("")}</div>`;

  // ---- questions

  async function questions() {
    show(`<p class="lab-lead">${words.loading}</p>`);
    await sendKept();
    if (state.progress.code) {
      finished();
      return;
    }
    await fetchMore();
    next();
    fetchMore();
  }

  async function fetchMore() {
    const reply = await call("ask", {});
    take(reply);
    return reply;
  }

  // Two requests that cross may bring the same question.
  function take(reply) {
    if (reply.consent && !state.isAgain) askConsent(reply);
    if (!reply.question || state.known.has(reply.question.lease)) return;
    keep(reply.question);
    state.queue.push(reply.question);
  }

  function keep(question) {
    state.known.add(question.lease);
    state.unanswered.add(question.lease);
  }

  // Leaves a question alone that undo, or another call, shows meanwhile.
  async function next() {
    if (state.current || state.isAgain) return;
    while (!state.queue.length) {
      await state.busy; // the answer under way brings the next question, or says that there is none
      if (state.current || state.isAgain) return;
      if (state.queue.length) break;
      const reply = await fetchMore();
      if (state.current || state.isAgain) return;
      if (reply.is_over) {
        state.progress.code = reply.code;
        finished(true);
        return;
      }
      if (!reply.question) {
        show(`<h2>${words.wait}</h2><p class="lab-lead">${escape(reply.wait)}</p>`, { u: undo });
        await wait(3);
        if (state.current || state.isAgain) return;
      }
    }
    state.current = state.queue.shift();
    ask(state.current);
  }

  function ask(question) {
    const draw = { odd: askOdd, grid: askGrid, ab: askPair }[question.form];
    draw(question);
    on("[data-skip]", () => answer("cant_tell", []));
    on("[data-undo]", undo);
    state.since = performance.now();
  }

  const bar = () => {
    const { done, quota } = state.progress;
    return `<div class="lab-progress"><div class="lab-track" role="progressbar" aria-label="${words.progress}" aria-valuemin="0"
        aria-valuemax="${quota}" aria-valuenow="${Math.min(done, quota)}"><div style="width:${Math.min(100, 100 * done / quota)}%"></div>
      </div><span>${word("count", { done, quota })}</span></div>`;
  };
  const buttons = (first) => `<div class="lab-row">${first || ""}
    <button class="lab-side" data-skip>${words.cant_tell} <kbd>0</kbd></button>
    <button class="lab-side" data-undo ${state.progress.done ? "" : "disabled"}>${words.undo} <kbd>U</kbd></button></div>`;

  function askOdd({ images }) {
    const pick = (k) => answer("choice", [k], k);
    show(`${bar()}<h2>${words["ask.odd"]}</h2><p class="lab-lead">${words.criterion}</p>
      ${three(images)}${buttons()}`,
      { 1: () => pick(0), 2: () => pick(1), 3: () => pick(2), 0: () => answer("cant_tell", []), u: undo });
    on("[data-face]", pick);
  }

  function askPair({ target, images }) {
    const pick = (k) => answer("choice", [k], k);
    show(`${bar()}<h2>${words["ask.ab"]}</h2><p class="lab-lead">${words.criterion}</p>
      <div class="lab-pair"><div class="lab-face lab-target">${media(target, words.actor)}<span class="lab-tag">${words.actor}</span></div>
      ${images.map((source, k) => `<button class="lab-face" data-face aria-pressed="false">${media(source, word("choice", { number: k + 1 }))}
        <span class="lab-tag"><kbd>${k + 1}</kbd></span></button>`).join("")}</div>${buttons()}`,
      { 1: () => pick(0), 2: () => pick(1), 0: () => answer("cant_tell", []), u: undo });
    on("[data-face]", pick);
  }

  function askGrid({ target, images }) {
    const chosen = () => [...faces()].flatMap((face, k) => (face.getAttribute("aria-pressed") === "true" ? [k] : []));
    const toggle = (_, face) => {
      face.setAttribute("aria-pressed", String(face.getAttribute("aria-pressed") !== "true"));
      face.classList.toggle("lab-picked", face.getAttribute("aria-pressed") === "true");
      const count = chosen().length;
      root.querySelector("[data-send]").disabled = !count || count === images.length;
    };
    const send = () => {
      if (!root.querySelector("[data-send]").disabled) answer("choice", chosen());
    };
    const step = (by) => () => {
      const all = [...faces()];
      const at = all.indexOf(document.activeElement);
      all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))].focus();
    };
    const columns = () => getComputedStyle(root.querySelector(".lab-twelve")).gridTemplateColumns.split(" ").length;
    show(`${bar()}<h2>${words["ask.grid"]}</h2><p class="lab-lead">${words.criterion}</p>
      <div class="lab-grid"><div class="lab-face lab-target">${media(target, words["target.alt"])}<span class="lab-tag">${words.target}</span></div>
      <div class="lab-twelve">${images.map((source, k) => `<button class="lab-face" data-face aria-pressed="false">
        ${media(source, word("face", { number: k + 1 }))}</button>`).join("")}</div></div>
      ${buttons(`<button class="lab-main" data-send disabled>${words.send} <kbd>${words.enter}</kbd></button>`)}`,
      { Enter: send, 0: () => answer("cant_tell", []), u: undo, ArrowRight: step(1), ArrowLeft: step(-1),
        ArrowDown: () => step(columns())(), ArrowUp: () => step(-columns())() });
    on("[data-face]", toggle);
    on("[data-send]", send);
  }

  function answer(action, places, face) {
    if (!state.current || state.undoing) return;
    const seconds = (performance.now() - state.since) / 1000;
    const request = { annotator: state.annotator, lease: state.current.lease, action, places, seconds };
    keepUnsent((all) => [...all, request]);
    state.current = null;
    state.keys = { u: undo }; // waits for the answer
    if (face !== undefined) faces()[face].classList.add("lab-picked");
    state.progress.done += 1;
    state.busy = state.busy.then(() => send(request)).then((reply) => {
      Object.assign(state.progress, { quota: reply.quota, code: reply.code });
      take(reply);
    }).catch(() => { // refused: call() has said why, and the answers after it are sent all the same
      state.progress.done -= 1;
    });
    if (state.progress.done === state.progress.quota) state.busy.then(() => (state.progress.code ? finished() : next()));
    else setTimeout(next, face === undefined ? 0 : 90);
  }

  async function undo() {
    if (state.undoing) return;
    state.undoing = true;
    let reply;
    try {
      await state.busy;
      reply = await call("undo", { done: state.progress.done });
    } finally {
      state.undoing = false;
    }
    Object.assign(state.progress, { done: reply.done, code: reply.code });
    if (!reply.question) {
      say(reply.wait);
      return;
    }
    if (state.current) state.queue.unshift(state.current);
    keep(reply.question);
    state.current = reply.question;
    ask(state.current);
    say(words.taken_back);
  }

  function finished(isOver) {
    const { code, done } = state.progress;
    const thanks = code ? `<p class="lab-lead">${word(isOver ? "code.over" : "code", { done })}</p>
      <p class="lab-code">${escape(code)}</p><p class="lab-text">${words["code.copy"]}</p>`
      : `<p class="lab-lead">${words.no_code}</p>`;
    const more = isOver ? "" : `<button class="lab-side" data-more>${words.more}</button>`;
    const back = `<button class="lab-side" data-undo>${words.undo_last} <kbd>U</kbd></button>`;
    show(`<h2>${isOver ? words["thanks.over"] : words.thanks}</h2>${thanks}
      <div class="lab-row">${more}${done ? back : ""}</div>`, { u: undo });
    on("[data-more]", () => {
      state.current = null;
      next();
    });
    on("[data-undo]", undo);
  }

  begin().catch((error) => {
    if (!error.isReply) throw error;
    show(`<h2>${words.failed}</h2><p class="lab-lead">${escape(error.message)}</p>`);
  });
}
