// What the console's pages do beyond plain forms: dialogs, uploads with progress, folders packed here, a restart awaited.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const csrf = document.body.dataset.csrf ?? "";
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const pause = seconds => new Promise(resolve => setTimeout(resolve, seconds * 1000));

// --- Questions: a dialog in place of the page that asks -------------------------------------------------------------

const dialog = document.getElementById("ask");
let question = new AbortController(); // The one that is open, or was the last to be.

// No submit button: Enter in the field is for what was asked, not for the first button of the form.
dialog.querySelector("[value=no]").addEventListener("click", () => dialog.close("no"));

/** Ask in the dialog; what was typed ("" where nothing has to be), or null for no. The focus comes back to where it was. */
function ask({ title, text, yes, danger = false, typed = "", label = "" }) {
  const opener = document.activeElement;
  const [field, button] = [dialog.querySelector("#ask-typed"), dialog.querySelector("#ask-do")];
  const input = field.querySelector("input");
  dialog.querySelector("#ask-title").textContent = title;
  dialog.querySelector("#ask-text").textContent = text;
  field.hidden = !typed;
  field.querySelector("span").textContent = label;
  input.value = "";
  button.textContent = yes;
  button.className = danger ? "danger" : "";
  const judge = () => { button.disabled = typed !== "" && input.value !== typed; };
  input.oninput = judge;
  judge();
  dialog.returnValue = "no";
  dialog.showModal();
  (typed ? input : dialog.querySelector("[value=no]")).focus();
  return new Promise(resolve => {
    question.abort();
    question = new AbortController();
    dialog.addEventListener("close", () => {
      if (dialog.open) return; // That was the question before, closed a moment ago.
      question.abort();
      opener?.focus();
      resolve(dialog.returnValue === "yes" ? input.value : null);
    }, { signal: question.signal });
  });
}

for (const form of all("form[data-ask]")) {
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const { ask: text, askTitle: title, askDo: yes } = form.dataset;
    const answer = await ask({ title, text, yes, danger: "askDanger" in form.dataset });
    if (answer !== null) form.submit();
  });
}

for (const link of all("a[data-question]")) {
  link.setAttribute("role", "button"); // It goes nowhere any more.
  link.addEventListener("keydown", event => {
    if (event.key !== " ") return;
    event.preventDefault();
    link.click();
  });
  link.addEventListener("click", async event => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { question: text, title, do: yes, typed = "", typedLabel: label } = link.dataset;
    const answer = await ask({ title, text, yes, typed, label, danger: "danger" in link.dataset });
    if (answer !== null) post(link.href, { csrf, confirmed: answer || "yes" });
  });
}

function post(address, values) {
  const form = Object.assign(document.createElement("form"), { method: "post", action: address, hidden: true });
  for (const [name, value] of Object.entries(values)) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(form);
  form.submit();
}

// --- Folders: packed as tar.gz without holding them in memory -----------------------------------------------------------

const encoder = new TextEncoder();
const BLOCK = 512;
// As `pages deploy` does: a dropped folder may be that of a project.
const LEFT_OUT = /^node_modules\/|(?:^|\/)(?:\.git\/|\.DS_Store$|Thumbs\.db$)/;
const padding = size => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);

/** The head of an entry (POSIX ustar). */
function head(name, size, time, type) {
  const block = new Uint8Array(BLOCK);
  const put = (offset, text) => block.set(encoder.encode(text), offset);
  const number = (offset, value, digits) => put(offset, value.toString(8).padStart(digits, "0"));
  block.set(name, 0);
  number(100, 0o644, 7);
  number(108, 0, 7);
  number(116, 0, 7);
  number(124, size, 11);
  number(136, time, 11);
  put(148, "        ");
  put(156, type);
  put(257, "ustar\0" + "00");
  number(148, block.reduce((sum, byte) => sum + byte, 0), 6);
  put(154, "\0 ");
  return block;
}

/** A path that is too long for the head, as an entry before (POSIX pax). */
function longName(path, time) {
  const rest = ` path=${path}\n`;
  const length = encoder.encode(rest).length;
  let total = length + 1;
  while (String(total).length + length !== total) total = String(total).length + length;
  const record = encoder.encode(total + rest);
  return [head(encoder.encode("path"), record.length, time, "x"), record, padding(record.length)];
}

/** The parts of a tar of [path, File]; the files are read only when the tar is. */
function tar(files) {
  const parts = [];
  for (const [path, file] of files) {
    const time = Math.max(0, Math.floor(file.lastModified / 1000));
    let name = encoder.encode(path);
    if (name.length > 100) {
      parts.push(...longName(path, time));
      name = name.slice(0, 100);
    }
    parts.push(head(name, file.size, time, "0"), file, padding(file.size));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts);
}

const gzipped = blob => new Response(blob.stream().pipeThrough(new CompressionStream("gzip"))).blob();

/** All files below what was dropped, as [path, File]. */
async function dropped(entries) {
  const found = [];
  const queue = entries.map(entry => [entry.name, entry]);
  while (queue.length) {
    const [path, entry] = queue.shift();
    if (entry.isFile) {
      found.push([path, await new Promise((resolve, reject) => entry.file(resolve, reject))]);
    } else {
      const reader = entry.createReader();
      for (;;) { // Chromium gives a hundred at a time.
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        queue.push(...some.map(each => [`${path}/${each.name}`, each]));
      }
    }
  }
  return found;
}

/** One folder is the site itself, not a folder of it. */
function withoutTop(files) {
  const tops = new Set(files.map(([path]) => path.split("/")[0]));
  if (tops.size !== 1 || files.some(([path]) => !path.includes("/"))) return ["site", files];
  const [top] = tops;
  return [top, files.map(([path, file]) => [path.slice(top.length + 1), file])];
}

// --- Uploads ----------------------------------------------------------------------------------------------------------

function prepare(form) {
  const texts = form.dataset;
  const [status, problem, box] = ["status", "problem", "progress"].map(name => form.querySelector(`[data-${name}]`));
  const bar = box.querySelector("progress");
  const [archive, folder] = [form.querySelector("[name=file]"), form.querySelector("[data-folder]")];
  const buttons = all("button[type=submit], input", form);
  let request = null;
  let isBusy = false;

  all(".js", form).forEach(part => { part.hidden = false; });

  const say = text => { if (status.textContent !== text) status.textContent = text; };
  const fail = text => {
    say("");
    problem.textContent = text;
    problem.hidden = false;
  };
  const busy = is => {
    isBusy = is;
    box.hidden = !is;
    buttons.forEach(button => { button.disabled = is; });
    if (is) problem.hidden = true;
    bar.removeAttribute("value");
  };

  async function start(files, address) {
    if (isBusy) return;
    const typed = { root: form.elements.root.value, description: form.querySelector("[data-description]").value };
    const fields = Object.entries(typed).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
    busy(true);
    try {
      const { name, blob } = await packed(files);
      if (blob.size > Number(texts.max)) throw new Error(texts.tooLarge);
      await send(name, blob, fields, address);
    } catch (error) {
      busy(false);
      fail(error.message || texts.failed);
    }
  }

  async function packed(files) {
    const [[path, file]] = files.length ? files : [["", null]];
    if (!file) throw new Error(texts.none);
    if (files.length === 1 && /\.(?:zip|tgz|tar\.gz)$/i.test(path) && !path.includes("/")) return { name: file.name, blob: file };
    if (files.length === 1 && !path.includes("/") && !/\.html?$/i.test(path)) throw new Error(texts.kind);
    const [top, inside] = withoutTop(files);
    const wanted = inside.filter(([each]) => !LEFT_OUT.test(each));
    say(fill(texts.packing, { n: wanted.length }));
    return { name: `${top}.tar.gz`, blob: await gzipped(tar(wanted)) };
  }

  function send(name, blob, fields, address) {
    request = new XMLHttpRequest();
    const body = new FormData();
    body.append("file", blob, name);
    for (const field of fields) body.append(...field);
    return new Promise((resolve, reject) => {
      let told = -1;
      request.upload.onprogress = event => {
        bar.value = (100 * event.loaded) / event.total;
        const quarter = Math.floor((4 * event.loaded) / event.total);
        if (quarter > told) { // Four sentences, not four hundred, for who listens.
          told = quarter;
          say(fill(texts.sending, { name, percent: Math.floor(bar.value) }));
        }
      };
      request.upload.onload = () => {
        bar.removeAttribute("value");
        say(texts.unpacking);
      };
      request.onload = () => {
        const reply = parsed(request);
        if (request.status >= 300 || !reply.success) return reject(new Error(reply.message ?? `${texts.failed} (HTTP ${request.status})`));
        say(texts.done);
        location.assign(location.pathname);
        resolve();
      };
      request.onerror = () => reject(new Error(texts.broken));
      request.onabort = () => reject(new Error(texts.cancelled));
      request.open("POST", address);
      request.setRequestHeader("X-CSRF-Token", csrf);
      request.setRequestHeader("Accept", "application/json");
      request.send(body);
    });
  }

  form.querySelector("[data-cancel]").addEventListener("click", () => request?.abort());
  form.addEventListener("submit", event => {
    event.preventDefault();
    const address = event.submitter?.hasAttribute("formaction") ? event.submitter.formAction : form.action;
    const chosen = folder.files.length ? [...folder.files].map(file => [file.webkitRelativePath || file.name, file])
      : [...archive.files].map(file => [file.name, file]);
    start(chosen, address);
  });
  archive.addEventListener("change", () => { folder.value = ""; });
  folder.addEventListener("change", () => { archive.value = ""; });

  // The whole page takes what is dropped: nothing that misses the box replaces the page.
  const isOfFiles = event => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", event => {
    if (!isOfFiles(event)) return;
    event.preventDefault();
    form.classList.add("is-over");
  });
  document.addEventListener("dragleave", event => { if (!event.relatedTarget) form.classList.remove("is-over"); });
  document.addEventListener("drop", async event => {
    if (!isOfFiles(event)) return;
    event.preventDefault();
    form.classList.remove("is-over");
    const entries = [...event.dataTransfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
    const loose = [...event.dataTransfer.files].map(file => [file.name, file]);
    start(entries.length ? await dropped(entries) : loose, form.action);
  });
}

function parsed(request) {
  try {
    return JSON.parse(request.responseText);
  } catch { // A page of a proxy's.
    return {};
  }
}

all("form[data-upload]").forEach(prepare);

// --- Copying ------------------------------------------------------------------------------------------------------------

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = Object.assign(document.createElement("textarea"), { value: text }); // Plain http has no clipboard.
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

for (const button of all("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const before = button.textContent;
    await copy(button.dataset.copy);
    button.textContent = button.dataset.copied;
    await pause(2);
    button.textContent = before;
  });
}

// --- Times and messages ---------------------------------------------------------------------------------------------------

for (const place of all("[data-countdown]")) {
  const end = new Date(place.dataset.countdown);
  const tick = () => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    place.textContent = `(${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")})`;
  };
  tick();
  setInterval(tick, 1000);
}

// Screen readers tell what comes into a region, not what is there from the start.
for (const flash of all("[data-flash]")) {
  const parts = [...flash.childNodes];
  flash.replaceChildren();
  setTimeout(() => flash.replaceChildren(...parts), 50);
}

// --- Restart ----------------------------------------------------------------------------------------------------------------

async function awaitRestart(box) {
  const [count, status] = [box.querySelector("[data-count]"), box.querySelector("[data-status]")];
  count.hidden = false;
  for (let left = 3; left > 0; left -= 1) {
    count.textContent = left;
    await pause(1);
  }
  count.hidden = true;
  status.textContent = box.dataset.waiting;
  for (let tries = 0; tries < 120; tries += 1) {
    if (await isBack(box.dataset)) {
      status.textContent = box.dataset.back;
      return;
    }
    await pause(1);
  }
  status.textContent = box.dataset.late;
}

/** Is the service healthy, and answered by a process that began after the restart was asked for? */
async function isBack({ health, state, asked }) {
  try {
    const [healthy, told] = await Promise.all([fetch(health), fetch(state, { headers: { Accept: "application/json" } })]);
    return healthy.ok && told.ok && (await told.json()).data.began > Number(asked);
  } catch { // Nobody listens at the moment.
    return false;
  }
}

all("[data-restart]").forEach(awaitRestart);
