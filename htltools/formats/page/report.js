"use strict";
// Text of the data reaches the page by textContent alone, and what is chosen stands in the address: #show=hardest&sort=pruned_disagreement
addEventListener("error", event => { document.documentElement.dataset.error = event.message; });

const data = JSON.parse(document.getElementById("data").textContent);
const RESERVED = ["show", "mark", "sort", "order", "find", "theme"];
const ABOVE = ["dense", "attended", "pruned", "annotated"];  // the order in which boxes are drawn: gaps of dashes show what is below
const STEP = 48;  // cards that are made at a time
const SVG = "http://www.w3.org/2000/svg";
const cards = document.getElementById("cards"), form = document.getElementById("choose"), more = document.getElementById("more");
const valueOf = key => controls.get(key).value;
const keyOf = name => RESERVED.includes(name) ? "meta." + name : name;
const controls = new Map(), hidden = {};  // what is chosen by its key in the address; whose boxes are not shown
let matches = [], shown = 0;  // the samples chosen, and how many of them are on the page

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function choice(key, title, options) {
  const label = element("label", title), select = element("select");
  controls.set(key, select);
  for (const [value, text] of options) {
    const option = element("option", text);
    option.value = value;
    select.append(option);
  }
  label.append(select);
  form.append(label);
}

function makeForm() {
  choice("show", "show", [["", "all images"], ...Object.entries(data.sections), ["others", "others, drawn at random"]]);
  choice("mark", "marked", [["", "any"], ...Object.keys(MARKS).map(mark => [mark, mark]), ["none", "not yet"]]);
  choice("sort", "sort by", data.columns.map(name => [name, name]));
  choice("order", "order", [["", "highest first"], ["asc", "lowest first"]]);
  for (const filter of data.filters) choice(keyOf(filter.name), filter.name, [["", "any"], ...filter.levels.map(each => ["=" + each, each])]);
  const label = element("label", "name contains"), input = element("input");
  input.type = "search";
  controls.set("find", input);
  label.append(input);
  form.append(label);
  for (const role of data.roles) {
    const label = element("label", undefined, "switch"), box = element("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      for (const rect of cards.querySelectorAll("." + role)) rect.style.display = box.checked ? "" : "none";
      hidden[role] = !box.checked;
    });
    const key = element("span", undefined, "key");
    key.append(boxes({[role]: [[.08, .16, .92, .84]]}));
    label.append(box, key, role);
    form.append(label);
  }
}

const START = {hardest: [data.by, ""], suspects: ["suspect", ""], gains: ["gain", ""], losses: ["gain", "asc"]};

function fromAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.has("theme")) document.documentElement.dataset.theme = wanted.get("theme");
  if (![...wanted.keys()].some(key => controls.has(key))) wanted.set("show", data.sections.hardest ? "hardest" : "");
  for (const [key, control] of controls) {
    const value = wanted.get(key) ?? "";
    control.value = value && !RESERVED.includes(key) ? "=" + value : value;
    if (control.selectedIndex === -1) control.value = "";
  }
  startOrder(wanted.has("sort"), wanted.has("order"));
}

function startOrder(keepSort, keepOrder) {
  const [sort, order] = START[valueOf("show")] ?? [data.by, ""];
  if (!keepSort) controls.get("sort").value = sort;
  if (controls.get("sort").selectedIndex === -1) controls.get("sort").selectedIndex = 0;
  if (!keepOrder) controls.get("order").value = order;
}

function toAddress() {
  const chosen = new URLSearchParams();
  for (const [key, {value}] of controls) if (value) chosen.set(key, RESERVED.includes(key) ? value : value.slice(1));
  history.replaceState(null, "", "#" + chosen);
}

function choose() {
  const show = valueOf("show"), mark = valueOf("mark"), sort = valueOf("sort"), find = valueOf("find").toLowerCase(), sign = valueOf("order") ? 1 : -1;
  const wanted = data.filters.map(each => [each.name, valueOf(keyOf(each.name))]).filter(pair => pair[1]);
  matches = data.samples.filter(sample =>
    (!show || (show === "others" ? !sample.sections.length : sample.sections.includes(show)))
    && (!mark || (marks.get(sample.id) ?? "none") === mark)
    && sample.id.toLowerCase().includes(find)
    && wanted.every(([name, value]) => "=" + sample.levels[name] === value));
  const rank = sample => sample.scores[sort];
  matches.sort((a, b) => (rank(a) === undefined) - (rank(b) === undefined) || sign * (rank(a) - rank(b)) || 0);
  cards.replaceChildren();
  document.getElementById("meaning").textContent = `sorted by ${sort}: ${data.meanings[sort]}`;
  shown = 0;
  extend(STEP);
}

function extend(count) {
  const next = matches.slice(shown, shown + count);
  shown += next.length;
  const made = document.createDocumentFragment();
  for (const sample of next) made.append(card(sample));
  cards.append(made);
  more.hidden = shown === matches.length;
  document.getElementById("count").textContent =
    `${matches.length} of ${data.samples.length} images` + (shown < matches.length ? `, ${shown} of them so far on the page` : "");
}

function card(sample) {
  const made = element("article", undefined, "card");
  const frame = element("div", undefined, "frame"), image = element("div", undefined, "image"), pixels = element("img");
  const [width, height] = sample.size;
  image.style.aspectRatio = `${width} / ${height}`;
  image.style[width / height >= 4 / 3 ? "width" : "height"] = "100%";
  pixels.src = sample.image;
  pixels.alt = sample.id;
  pixels.decoding = "async";
  image.append(pixels, boxes(sample.boxes));
  frame.append(image);
  const text = element("div", undefined, "text");
  text.append(element("h4", sample.id));
  text.append(element("p", tagsOf(sample), "tag"));
  if (sample.about.length) text.append(element("p", sample.about.map(([name, value]) => `${name} ${value}`).join(" · ")));
  const first = new Set([valueOf("sort"), data.by, ...data.main]), rest = Object.keys(sample.scores).filter(name => !first.has(name));
  text.append(list(sample.scores, first));
  if (rest.length) {
    const details = element("details");
    details.append(element("summary", `${rest.length} more scores`), list(sample.scores, rest));
    text.append(details);
  }
  made.append(frame, text);
  addLarge(frame, sample);
  addMarks(made, sample);
  return made;
}

function tagsOf(sample) {  // why it is here, and where it stands in its split
  const tags = sample.sections.map(name => sample.ranks[name] ? `${name}: ${sample.ranks[name]}` : name);
  if (!sample.sections.includes("hardest") && sample.ranks.hardest) tags.push(`by ${data.by}: ${sample.ranks.hardest}`);
  return tags.join(" · ");
}

function list(scores, names) {
  const made = element("dl");
  for (const name of names) if (scores[name] !== undefined) {
    const term = element("dt", name);
    term.title = data.meanings[name];
    made.append(term, element("dd", scores[name].toFixed(3)));
  }
  return made;
}

function boxes(byRole, [left, top, right, bottom] = [0, 0, 1, 1]) {  // those of a window of the image
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", `${left} ${top} ${right - left} ${bottom - top}`);
  made.setAttribute("preserveAspectRatio", "none");
  const all = ABOVE.flatMap(role => (byRole[role] ?? []).map(box => [role, box]));
  for (const [kind, role, [x0, y0, x1, y1]] of [...all.map(each => ["shade " + each[0], ...each]), ...all.map(each => [each[0], ...each])]) {
    const rect = document.createElementNS(SVG, "rect");
    for (const [name, value] of [["class", kind], ["x", x0], ["y", y0], ["width", x1 - x0], ["height", y1 - y0]]) rect.setAttribute(name, value);
    if (hidden[role]) rect.style.display = "none";
    made.append(rect);
  }
  return made;
}

makeForm();
startMarks();
fromAddress();
choose();
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("input", event => {
  if (event.target.type === "checkbox") return;
  if (event.target === controls.get("show")) startOrder(false, false);
  toAddress();
  choose();
});
addEventListener("hashchange", () => { if (/=/.test(location.hash)) { fromAddress(); choose(); } });
addEventListener("beforeprint", () => { for (const details of document.querySelectorAll(".card details")) details.open = true; });
new IntersectionObserver(seen => { if (seen[0].isIntersecting && shown < matches.length) extend(STEP); }, {rootMargin: "800px"}).observe(more);
more.querySelector("button").addEventListener("click", () => extend(matches.length));
document.documentElement.dataset.ready = Math.round(performance.now());
