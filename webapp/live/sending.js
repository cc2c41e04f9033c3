// Other programs that get the face: a row each, with an address and a switch.

import { say } from "../common/page.js";

export class Sending {
  // `presets` are addresses by scheme; `send` tells the server the addresses to send to from now on.
  constructor(root, { words, presets, most, send }) {
    Object.assign(this, { root, words, presets, most, send, isRunning: false });
    this.more = Object.assign(document.createElement("button"), { className: "fa-live-small", textContent: words.send_more });
    this.more.onclick = () => this.add();
    root.append(this.more);
    this.add();
  }

  get rows() {
    return [...this.root.querySelectorAll("div")];
  }

  add() {
    const { words, presets } = this, row = document.createElement("div");
    row.innerHTML = `
      <select aria-label="${words.send_program}">${Object.keys(presets).map((scheme) => `
        <option value="${scheme}">${words[`send.${scheme}`]}</option>`).join("")}
      </select>
      <input type="text" spellcheck="false" aria-label="${words.send_url}">
      <label class="fa-live-check"><input type="checkbox" role="switch">${words.send_on}</label>
      <span role="status"></span>`;
    const [program, url, isOn] = row.querySelectorAll("select, input");
    url.value = presets[program.value];
    program.onchange = () => {
      url.value = presets[program.value];
      if (isOn.checked) this.change(row);
    };
    url.onchange = () => isOn.checked && this.change(row);
    isOn.onchange = () => this.change(row);
    this.more.before(row);
    this.more.disabled = this.rows.length >= this.most;
  }

  // Sends to the programs that are switched on; a row that the server refuses is switched off, and says why.
  async change(row) {
    const line = row.querySelector("span"), isOn = row.querySelector("[type=checkbox]");
    const urls = this.rows.filter((one) => one.querySelector("[type=checkbox]").checked)
      .map((one) => one.querySelector("[type=text]").value.trim());
    try {
      if (this.isRunning) await this.send(urls);
      say(line, isOn.checked ? this.words[this.isRunning ? "sending" : "send_waits"] : "");
    } catch (error) {
      isOn.checked = false;
      say(line, error.message, true);
      if (error.isReply) this.send(urls.filter((url) => url !== row.querySelector("[type=text]").value.trim())).catch(() => {});
    }
  }

  // The session has begun: what is switched on is sent to, a row after the other.
  async start() {
    this.isRunning = true;
    const on = this.rows.filter((row) => row.querySelector("[type=checkbox]").checked);
    for (const row of on) row.querySelector("[type=checkbox]").checked = false;
    for (const row of on) {
      row.querySelector("[type=checkbox]").checked = true;
      await this.change(row);
    }
  }

  // The session is over; the switches stay for the next one.
  stop() {
    this.isRunning = false;
    for (const row of this.rows) {
      if (row.querySelector("[type=checkbox]").checked) say(row.querySelector("span"), this.words.send_waits);
    }
  }
}
