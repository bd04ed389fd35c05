"use strict";
// A click on an image opens it large: its original where the page holds it, with its boxes. Keys: arrows, b for boxes, those of marks.js.
const large = {dialog: null, sample: null, bare: false};
let originals;  // read at the first click: they are most of the page's bytes

function originalOf(sample) {
  originals ??= JSON.parse(document.getElementById("originals")?.textContent ?? "[]");
  return originals[data.samples.indexOf(sample)];
}

function makeLarge() {
  const dialog = element("dialog"), bar = element("div", undefined, "bar");
  dialog.id = "large";
  dialog.setAttribute("aria-labelledby", "large-title");
  const title = element("h3");
  title.id = "large-title";
  const button = (text, name, act) => {
    const made = element("button", text);
    made.type = "button";
    made.setAttribute("aria-label", name);
    made.addEventListener("click", act);
    return made;
  };
  bar.append(title, button("←", "previous image", () => step(-1)), button("→", "next image", () => step(1)),
    button("boxes", "show or hide boxes", toggleBoxes), button("close", "close", () => dialog.close()));
  dialog.append(bar, element("div", undefined, "stage"), element("div", undefined, "text"));
  dialog.addEventListener("close", () => focusCard(large.sample));
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });  // beside what it shows
  document.body.append(dialog);
  return dialog;
}

function addLarge(frame, sample) {
  frame.addEventListener("click", () => openLarge(sample));
  frame.title = "show it large (Enter)";
}

function openLarge(sample) {
  large.dialog ??= makeLarge();
  large.sample = sample;
  showLarge();
  if (!large.dialog.open) large.dialog.showModal();
}

function showLarge() {
  const {dialog, sample} = large, original = originalOf(sample), [x0, y0, x1, y1] = original?.window ?? [0, 0, 1, 1];
  const aspect = sample.size[0] * (x1 - x0) / (sample.size[1] * (y1 - y0));
  const image = element("div", undefined, "image"), pixels = element("img");
  image.style.aspectRatio = aspect;
  image.style.width = `min(100%, calc(72vh * ${aspect}))`;
  pixels.src = original?.image ?? sample.image;
  pixels.alt = sample.id;
  image.append(pixels, boxes(large.bare ? {} : sample.boxes, [x0, y0, x1, y1]));
  dialog.querySelector("h3").textContent = sample.id;
  dialog.querySelector(".stage").replaceChildren(image);
  const text = dialog.querySelector(".text"), part = original && x1 - x0 + y1 - y0 < 2 ? "; a part of it, around the boxes" : "";
  text.replaceChildren(element("p", tagsOf(sample), "tag"), element("p", sample.about.map(pair => pair.join(" ")).join(" · ")), marksOf(sample),
    element("p", (original ? `original of ${sample.size.join("x")} pixels` : "no original: this is the small copy of the store")
      + part + (sample.file ? ` · ${sample.file}` : "") + " · keys: ← → b w k u, 0 for no mark, Esc", "note"));
}

function toggleBoxes() {
  large.bare = !large.bare;
  showLarge();
}

function step(by) {
  const place = matches.indexOf(large.sample) + by;
  if (place < 0 || place >= matches.length) return;
  large.sample = matches[place];
  showLarge();
}

function isLargeOpen() {
  return large.dialog !== null && large.dialog.open;
}

function keyOfLarge(key) {
  if (key === "ArrowLeft" || key === "ArrowRight") step(key === "ArrowLeft" ? -1 : 1);
  else if (key === "b") toggleBoxes();
  else return false;
  return true;
}
