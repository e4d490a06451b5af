// Checks a scan before it is uploaded, shows the findings, and offers a corrected image. Runs in the browser only.
// Rules: `least` to `most` pixels per inch, less than `limit` bytes.
import { choose, drawn, jpegOf, opened } from "./picture.js";

const INCH = 25.4;
// Sides in mm: the paper that is assumed if its size is unknown; the largest paper, with a margin; a card.
const A4 = [297, 210];
const A3 = [420 * 1.05, 297 * 1.05];
const CARD = 80;
const QUALITIES = [0.9, 0.8, 0.7, 0.6, 0.5];
const LOWEST_QUALITIES = [0.4, 0.3]; // if the resolution is already the lowest
const JFIF_BYTES = 18; // bytes of a JFIF header
const HEADER_BYTES = 256 * 1024; // the headers of a file fit in this many bytes
const PREVIEW = 720;
const CERTAIN = 0.5; // confidence from which a sheet that was found is cut out without asking
const ORIGINAL = "仍然上传原图";
const kb = (bytes) => `${Math.ceil(bytes / 1024)} KB`;

document.addEventListener("change", (event) => {
  const doctor = event.target.type === "file" && event.target.form.querySelector(".doctor");
  if (doctor) examine(event.target, doctor);
});

// Clear the choice, so that choosing a file of the same name again raises a change event.
document.addEventListener("click", (event) => {
  if (event.target.type === "file") event.target.value = "";
});

async function examine(input, doctor) {
  const file = input.files[0];
  doctor.hidden = !file;
  doctor.querySelector(".corners")?.replaceWith(doctor.querySelector("canvas"));
  offer(input, doctor, []);
  if (!file) return;
  const rules = { limit: +doctor.dataset.limit, least: +doctor.dataset.least, most: +doctor.dataset.most };
  show(doctor.querySelector(".checks"), [["", "正在查看图片"]]);
  const header = read(new DataView(await file.slice(0, HEADER_BYTES).arrayBuffer()));
  const picture = await opened(file).catch(() => null);
  const paper = picture && paperOf(picture, header.density);
  const findings = findingsOf(file, header, picture, paper, rules);
  const needed = findings.some(([tone, , correctable]) => tone === "bad" || correctable);
  if (input.files[0] === file) show(doctor.querySelector(".checks"), findings);
  if (picture) preview(doctor, picture);
  const sheet = picture && needed && !paper.real ? await sheetIn(picture) : null;
  const correction = !picture || !needed ? null : sheet?.certain ? await scannedSheet(sheet, rules) : await corrected(picture, paper, rules);
  if (!needed || input.files[0] !== file) return;
  await offerScan(input, doctor, picture, sheet, rules, correction);
}

async function offerScan(input, doctor, picture, sheet, rules, correction) {
  const offered = correction ? correctionOffer(input, correction, sheet?.certain) : [noCorrection(rules)];
  await offer(input, doctor, [...offered, ...sheetOffers(input, doctor, picture, sheet, rules)], correction);
}

// The sheet in a photo of a certificate, or null where the browser can't look for it.
async function sheetIn(picture) {
  try {
    const { findSheet } = await import("./sheet_client.js");
    const sheet = await findSheet(picture);
    return { ...sheet, certain: sheet.confidence >= CERTAIN };
  } catch {
    return null;
  }
}

// What a person can do about the sheet that was found, or not found: set its corners, turn the scan.
function sheetOffers(input, doctor, picture, sheet, rules) {
  if (!sheet) return [];
  const again = async (changed) =>
    offerScan(input, doctor, picture, changed, rules, await scannedSheet(changed, rules));
  const adjust = action(sheet.certain ? "调整纸张四角" : "裁出纸张", () => adjustCorners(input, doctor, picture, sheet, again));
  const choices = made("p", "", "choices");
  choices.append(...(sheet.certain ? [adjust, action("旋转", () => again(turned(sheet)))] : [adjust]));
  return [choices];
}

function turned({ corners: [first, ...others], size: { width, height }, ...sheet }) {
  return { ...sheet, corners: [...others, first], size: { width: height, height: width } };
}

async function adjustCorners(input, doctor, picture, sheet, again) {
  const [{ editCorners }, { sizeOf }] = await Promise.all([import("./corners.js"), import("./sheet_client.js")]);
  const corners = sheet.corners.map((corner) => [...corner]);
  preview(doctor, picture);
  const close = editCorners(doctor.querySelector("canvas"), corners);
  const cut = made("button", "按四角裁剪", "button");
  cut.type = "button";
  cut.addEventListener("click", async () => {
    close();
    const size = await sizeOf({ ...sheet, corners });
    await again({ ...sheet, corners, size, certain: true });
  });
  await offer(input, doctor, [made("p", "请把四个圆点移到纸张的四角。"), cut]);
}

function action(text, act) {
  const button = made("button", text, "link");
  button.type = "button";
  button.addEventListener("click", act);
  return button;
}

// The file headers: { jpeg, density: { across, down, room } or null }, in dots per inch. Headers have whole dots per inch
// or centimetre, so each value may be off by `room`.
function read(view) {
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return { jpeg: false, density: null };
  let jfif = null;
  let exif = null;
  for (let at = 2; at + 4 <= view.byteLength && view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    const length = view.getUint16(at + 2);
    if (at + 2 + length > view.byteLength) break;
    if (marker === 0xe0 && length >= 16 && ascii(view, at + 4, 4) === "JFIF") jfif = ofJfif(view, at + 4);
    if (marker === 0xe1 && length >= 16 && ascii(view, at + 4, 4) === "Exif") exif = ofExif(view, at + 10, at + 2 + length);
    if (marker === 0xda) break;
    at += 2 + length;
  }
  return { jpeg: true, density: jfif ?? exif };
}

const ascii = (view, at, length) => String.fromCharCode(...new Uint8Array(view.buffer, at, length));

const densityOf = (across, down, inch) =>
  inch && across && down ? { across: across * inch, down: down * inch, room: inch / 2 } : null;

function ofJfif(view, at) {
  return densityOf(view.getUint16(at + 8), view.getUint16(at + 10), { 1: 1, 2: 2.54 }[view.getUint8(at + 7)]);
}

function ofExif(view, start, end) {
  try {
    const little = ascii(view, start, 2) === "II";
    const first = start + view.getUint32(start + 4, little);
    const found = {};
    for (let n = 0; n < view.getUint16(first, little); n++) {
      const entry = first + 2 + n * 12;
      const tag = view.getUint16(entry, little);
      if (tag === 0x128) found.unit = view.getUint16(entry + 8, little);
      if (tag !== 0x11a && tag !== 0x11b) continue;
      const at = start + view.getUint32(entry + 8, little);
      if (at + 8 <= end) found[tag] = view.getUint32(at, little) / view.getUint32(at + 4, little);
    }
    return densityOf(found[0x11a], found[0x11b], { 2: 1, 3: 2.54 }[found.unit]);
  } catch {
    return null; // invalid EXIF: no density
  }
}

// The size of the paper in mm: { across, down, real }. A density that makes it larger than A3 or smaller than a card is
// ignored (phones write 72 into every photo). Then the image is assumed to fill an A4 page, portrait or landscape.
function paperOf({ naturalWidth: width, naturalHeight: height }, density) {
  const size = density && { across: (width / density.across) * INCH, down: (height / density.down) * INCH };
  const [long, short] = size ? [size.across, size.down].sort((one, other) => other - one) : [0, 0];
  if (long >= CARD && long <= A3[0] && short <= A3[1]) return { ...size, real: true };
  const pixel = Math.min(A4[0] / Math.max(width, height), A4[1] / Math.min(width, height));
  return { across: width * pixel, down: height * pixel, real: false, size };
}

// [tone, text, whether a warning should be corrected]
function findingsOf(file, { jpeg, density }, picture, paper, rules) {
  if (!picture) return [["bad", "图片无法打开"]];
  return [
    jpeg ? ["good", "JPG 图片，能完整打开"] : ["bad", "不是 JPG 图片"],
    file.size < rules.limit ? ["good", `${kb(file.size)}，小于 ${kb(rules.limit)}`] : ["bad", `${kb(file.size)}，须小于 ${kb(rules.limit)}`],
    ofDensity(density, paper, rules),
    ["good", `${picture.naturalWidth}×${picture.naturalHeight} 像素`],
  ];
}

function ofDensity(density, paper, { least, most }) {
  if (!density) return ["warn", "没有注明分辨率", true];
  const [across, down] = [Math.round(density.across), Math.round(density.down)];
  if (across !== down) return ["bad", `横向 ${across} dpi、纵向 ${down} dpi，比例不是 1:1`];
  const off = Math.abs(within(density.across, least, most) - density.across) > density.room;
  if (off) return ["bad", `${across} dpi，须为 ${least}~${most} dpi`];
  if (paper.real) return ["good", `${across} dpi，横纵一致`];
  const [wide, high] = [paper.size.across, paper.size.down].map((side) => Math.round(side / 10));
  return ["warn", `注明的 ${across} dpi 不可信：照此原件有 ${wide}×${high} 厘米`, true];
}

const within = (value, least, most) => Math.min(most, Math.max(least, value));

function show(list, findings) {
  list.replaceChildren(
    ...findings.map(([tone, text]) => {
      const item = document.createElement("li");
      item.className = tone;
      item.textContent = text;
      return item;
    }),
  );
}

function preview(doctor, picture) {
  const scale = Math.min(1, PREVIEW / Math.max(picture.naturalWidth, picture.naturalHeight));
  drawn(picture, picture.naturalWidth * scale, picture.naturalHeight * scale, doctor.querySelector("canvas"));
}

// The image at an allowed density in a file that is small enough: { blob, dpi, width, height }, or null.
function corrected(picture, paper, rules) {
  const inches = [paper.across / INCH, paper.down / INCH];
  const finest = Math.min(picture.naturalWidth / inches[0], picture.naturalHeight / inches[1]);
  return encoded((dpi) => drawn(picture, inches[0] * dpi, inches[1] * dpi), finest, rules);
}

// The same of the sheet in a photo. A sheet smaller than A4 is enlarged to it: else its text had too few pixels.
function scannedSheet(sheet, rules) {
  const { photo, corners, size } = sheet;
  const enlarged = Math.min(A4[0] / Math.max(size.width, size.height), A4[1] / Math.min(size.width, size.height)) / INCH;
  const inches = [size.width * enlarged, size.height * enlarged];
  const side = (one, other) => Math.hypot((corners[one][0] - corners[other][0]) * photo.width, (corners[one][1] - corners[other][1]) * photo.height);
  const finest = Math.min(Math.max(side(0, 1), side(2, 3)) / inches[0], Math.max(side(1, 2), side(3, 0)) / inches[1]);
  return import("./sheet_client.js").then(({ scanOf }) => encoded((dpi) => scanOf(sheet, inches[0] * dpi, inches[1] * dpi), finest, rules));
}

async function encoded(draw, finest, { limit, least, most }) {
  const sharpest = within(Math.round(finest), least, most);
  for (const dpi of new Set([sharpest, Math.min(sharpest, 85), least])) {
    const canvas = await draw(dpi);
    const blob = await jpegOf(canvas, dpi === least ? [...QUALITIES, ...LOWEST_QUALITIES] : QUALITIES, limit - JFIF_BYTES - 1);
    if (blob) return { blob: await withDensity(blob, dpi), dpi, width: canvas.width, height: canvas.height };
  }
  return null;
}

// The JPEG with its density in the JFIF header, which is added if there is none.
async function withDensity(blob, dpi) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const header = new Uint8Array([0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 1, dpi >> 8, dpi & 255, dpi >> 8, dpi & 255, 0, 0]);
  const old = bytes[2] === 0xff && bytes[3] === 0xe0 ? 4 + ((bytes[4] << 8) | bytes[5]) : 2;
  return new Blob([bytes.subarray(0, 2), header, bytes.subarray(old)], { type: "image/jpeg" });
}

// Shows what can be done about the chosen file. Meanwhile the button to upload the original is a secondary one.
async function offer(input, doctor, elements, correction = null) {
  const box = doctor.querySelector(".cure");
  box.hidden = !elements.length;
  box.replaceChildren(...elements);
  const submit = submitOf(input);
  submit.dataset.text ??= submit.textContent;
  submit.textContent = elements.length ? ORIGINAL : submit.dataset.text;
  submit.classList.toggle("plain", elements.length > 0);
  submit.name = correction ? "original" : ""; // else the server makes a scan of the file, if it can
  if (correction) preview(doctor, await opened(correction.blob));
}

const submitOf = (input) => input.form.querySelector("[formaction$='/attachment']");

function correctionOffer(input, { blob, dpi, width, height }, cropped) {
  const button = made("button", "使用处理后的图片上传", "button");
  button.type = "button";
  button.addEventListener("click", () => {
    choose(input, blob, "scan.jpg");
    input.form.requestSubmit(submitOf(input));
  });
  return [made("p", `${cropped ? "已裁出纸张并摆正，" : ""}已处理为 ${width}×${height} 像素、${dpi} dpi、${kb(blob.size)}，请看预览中的文字是否清晰。`), button];
}

const noCorrection = ({ least, most }) =>
  made("p", `图片无法自动处理。请用扫描仪按 ${least}~${most} dpi、原件大小（1:1）扫描为 JPG，或重新拍一张 JPG 照片。`);

function made(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}
