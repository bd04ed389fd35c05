// Marks of a person: wrong, keep or unsure, by button or key, one by one or for all that are selected. They stay in this browser, under
// a key that is the same for the same images, until they are saved as a list of ids.
const MARKS = {wrong: "w", keep: "k", unsure: "u"};
const marks = new Map(), selected = new Set(), cardOf = new Map();  // marks and cards on the page by id
const panel = {};  // controls that change
let lastSelected = null, saved = "csv", kept = true;

const storedAs = () => "htl-marks-" + data.key;

function startMarks() {
  readMarks();
  makePanel();
  showMarks();
  addEventListener("storage", event => { if (event.key === storedAs()) { readMarks(); showMarks(); } });  // of another tab
  document.addEventListener("keydown", onKey);
}

function readMarks() {
  try {
    const known = Object.entries(JSON.parse(localStorage.getItem(storedAs()) ?? "{}"));
    marks.clear();
    for (const [id, mark] of known) if (Object.hasOwn(MARKS, mark)) marks.set(id, mark);
  } catch { kept = false; }
}

function writeMarks() {
  try { localStorage.setItem(storedAs(), JSON.stringify(Object.fromEntries(marks))); } catch { kept = false; }
}

function setMarks(ids, mark) {
  const remove = !mark || ids.every(id => marks.get(id) === mark);
  for (const id of ids) if (remove) marks.delete(id); else marks.set(id, mark);
  writeMarks();
  showMarks();
}

function button(text, act, title) {
  const made = element("button", text);
  made.type = "button";
  if (title) made.title = title;
  made.addEventListener("click", act);
  return made;
}

function marksOf(sample) {  // three buttons
  const made = element("div", undefined, "marks");
  made.dataset.id = sample.id;
  for (const [mark, key] of Object.entries(MARKS)) {
    const own = button(mark, () => setMarks(targets(sample), mark), `key ${key}`);
    own.dataset.mark = mark;
    made.append(own);
  }
  showButtons(made);
  return made;
}

function addMarks(card, sample) {
  const box = element("input"), label = element("label", "select", "select");
  box.type = "checkbox";
  box.checked = selected.has(sample.id);
  box.addEventListener("click", event => select(sample, box.checked, event.shiftKey));
  label.prepend(box);
  const bar = marksOf(sample);
  bar.append(label);
  card.append(bar);
  card.tabIndex = 0;
  card.setAttribute("aria-label", sample.id);
  cardOf.set(sample.id, card);
  showCard(sample.id);
}

function targets(sample) {  // a mark of a selected image is for all that are
  return selected.has(sample.id) && !isLargeOpen() ? [...selected] : [sample.id];
}

function select(sample, on, range) {
  const ids = matches.map(each => each.id), from = ids.indexOf(lastSelected), to = ids.indexOf(sample.id);
  const several = range && from >= 0 && to >= 0 ? ids.slice(Math.min(from, to), Math.max(from, to) + 1) : [sample.id];
  for (const id of several) if (on) selected.add(id); else selected.delete(id);
  lastSelected = sample.id;
  showMarks();
}

function showCard(id) {
  const card = cardOf.get(id);
  if (!card) return;
  if (marks.has(id)) card.dataset.mark = marks.get(id); else delete card.dataset.mark;
  card.classList.toggle("selected", selected.has(id));
  card.querySelector(".select input").checked = selected.has(id);
  showButtons(card.querySelector(".marks"));
}

function showButtons(bar) {
  for (const own of bar.querySelectorAll("button")) own.setAttribute("aria-pressed", marks.get(bar.dataset.id) === own.dataset.mark);
}

function showMarks() {
  for (const id of cardOf.keys()) showCard(id);
  for (const bar of document.querySelectorAll("#large .marks")) showButtons(bar);
  const count = mark => [...marks.values()].filter(own => own === mark).length;
  panel.tally.textContent = Object.keys(MARKS).map(mark => `${count(mark)} ${mark}`).join(" · ") + ` · ${selected.size} selected`
    + (kept ? "" : " · this browser keeps no marks: save them before you leave");
  for (const own of panel.forSelected) own.disabled = !selected.size;
  const none = !chosenMarks().length;
  for (const own of panel.forChosen) own.disabled = none;
  panel.command.textContent = commandText();
}

function chosenMarks() {  // [id, mark] pairs of what is to be saved
  const which = panel.which.value;
  if (which === "selected") return [...selected].map(id => [id, marks.get(id) ?? ""]);
  return [...marks].filter(([, mark]) => which === "all" || mark === which);
}

const fileName = () => `htl-${panel.which.value}.${saved}`;

function commandText() {
  const rows = data.rows, file = fileName();
  return {
    train: `htl train ${rows} --not-ids ${file} -o without.h5 > /dev/null`,
    without: `htl view ${rows} --not-ids ${file} > without.jsonl`,
    only: `htl view ${rows} --ids ${file} > only.jsonl`,
    review: `htl view ${rows} --ids ${file} --to coco:review.json --copy-images review`,
  }[panel.what.value];
}

function listText(kind) {
  const quoted = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  if (kind === "csv") return "id,mark\r\n" + chosenMarks().map(pair => pair.map(quoted).join(",") + "\r\n").join("");
  return chosenMarks().map(([id, mark]) => JSON.stringify(mark ? {id, mark} : {id}) + "\n").join("");
}

function save(kind) {
  saved = kind;
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([listText(kind)], {type: kind === "csv" ? "text/csv" : "application/jsonl"}));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  showMarks();
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(commandText());
  } catch {  // not allowed here: at least selected
    getSelection().selectAllChildren(panel.command);
    document.execCommand("copy");
  }
  panel.copy.textContent = "copied";
  setTimeout(() => { panel.copy.textContent = "copy command"; }, 1500);
}

function options(title, entries) {
  const label = element("label", title), made = element("select");
  for (const [value, text] of entries) {
    const option = element("option", text);
    option.value = value;
    made.append(option);
  }
  made.addEventListener("change", showMarks);
  label.append(made);
  return [label, made];
}

function makePanel() {
  const made = element("div"), line = () => element("div", undefined, "line");
  made.id = "marks";
  const choosing = line(), saving = line(), acting = line();
  panel.tally = element("span", "", "tally");
  panel.tally.setAttribute("aria-live", "polite");
  panel.forSelected = [...Object.keys(MARKS).map(mark => button(`selected: ${mark}`, () => setMarks([...selected], mark))),
    button("select none", () => { selected.clear(); showMarks(); })];
  choosing.append(panel.tally, button("select all shown", () => { for (const each of matches) selected.add(each.id); showMarks(); }),
    ...panel.forSelected, button("forget marks", () => { if (confirm("Forget all marks of this page?")) setMarks([...marks.keys()], null); }));
  const [which, whichSelect] = options("ids of", [...Object.keys(MARKS).map(mark => [mark, mark]), ["all", "all marks"], ["selected", "selected"]]);
  const [what, whatSelect] = options("what to do with them", [["train", "train without them"], ["without", "rows without them"],
    ["only", "their rows alone"], ["review", "correct them in CVAT, Label Studio or FiftyOne"]]);
  [panel.which, panel.what] = [whichSelect, whatSelect];
  panel.forChosen = ["csv", "jsonl"].map(kind => button(`download ids (${kind === "csv" ? "CSV" : "JSON Lines"})`, () => save(kind)));
  panel.command = element("code");
  panel.copy = button("copy command", copyCommand);
  saving.append(which, ...panel.forChosen);
  acting.append(what, panel.command, panel.copy);
  made.append(choosing, saving, acting,
    element("p", "A command reads the ids that you download: run it where that file is. Marks stay in this browser. Click an image, or press Enter, to see "
      + "it large. Keys on an image: w wrong, k keep, u unsure, 0 no mark, x select, arrows.", "note"));
  form.after(made);
}

function focusCard(sample) {
  while (sample && !cardOf.get(sample.id)?.isConnected && shown < matches.length) extend(STEP);
  cardOf.get(sample?.id)?.focus();
}

function moveFocus(card, key) {
  const all = [...cards.children], place = all.indexOf(card), columns = all.findIndex(each => each.offsetTop > all[0].offsetTop);
  const by = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns > 0 ? columns : all.length, ArrowUp: columns > 0 ? -columns : -all.length}[key];
  all[place + by]?.focus();
}

function onKey(event) {
  const {key, target} = event;
  if (event.ctrlKey || event.metaKey || event.altKey || (target.matches?.("input, select, textarea") && target.type !== "checkbox")) return;
  const card = isLargeOpen() ? null : target.closest?.(".card");
  const sample = isLargeOpen() ? large.sample : matches.find(each => cardOf.get(each.id) === card);
  if (!sample) return;
  const mark = Object.keys(MARKS).find(name => MARKS[name] === key);
  if (mark) setMarks(targets(sample), mark);
  else if (key === "0" || key === "Delete" || key === "Backspace") setMarks(targets(sample), null);
  else if (isLargeOpen()) { if (!keyOfLarge(key)) return; }
  else if (key === "x") select(sample, !selected.has(sample.id), false);
  else if (key === "Enter" && target === card) openLarge(sample);
  else if (/^Arrow/.test(key)) moveFocus(card, key);
  else return;
  event.preventDefault();
}
