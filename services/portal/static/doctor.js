// The scan doctor: looks at a JPEG before it is uploaded, says what is wrong, offers to make it right.
// Pixels per inch: `least` to `most`; bytes: less than `limit`. Everything happens in the browser.

const A4_INCHES = 11.69;
const QUALITIES = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
const kb = (bytes) => `${Math.ceil(bytes / 1024)} KB`;

document.addEventListener("change", (event) => {
  const doctor = event.target.type === "file" && event.target.form.querySelector(".doctor");
  if (doctor) examine(event.target, doctor);
});

// The same name may be a better scan: a browser tells of no change unless the choice was empty.
document.addEventListener("click", (event) => {
  if (event.target.type === "file") event.target.value = "";
});

async function examine(input, doctor) {
  const file = input.files[0];
  doctor.hidden = !file;
  if (!file) return;
  const rules = { limit: +doctor.dataset.limit, least: +doctor.dataset.least, most: +doctor.dataset.most };
  const header = read(new DataView(await file.arrayBuffer()));
  const picture = await createImageBitmap(file).catch(() => null);
  const findings = judge(file, header, picture, rules);
  show(doctor.querySelector(".checks"), findings);
  if (picture) draw(doctor.querySelector("canvas"), picture, 352 / Math.max(picture.width, picture.height));
  const ill = findings.some(([tone, , curable]) => tone === "bad" || curable);
  await offer(input, doctor, picture && ill ? await cure(picture, header, rules) : null, ill && picture);
}

// What the file says of itself: { jpeg, dpi: [across, down] or null }.
function read(view) {
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return { jpeg: false, dpi: null };
  let jfif = null;
  let exif = null;
  for (let at = 2; at + 4 <= view.byteLength && view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    const length = view.getUint16(at + 2);
    if (marker === 0xe0 && length >= 16 && ascii(view, at + 4, 4) === "JFIF") jfif = ofJfif(view, at + 4);
    if (marker === 0xe1 && length >= 16 && ascii(view, at + 4, 4) === "Exif") exif = ofExif(view, at + 10, at + 2 + length);
    if (marker === 0xda) break;
    at += 2 + length;
  }
  return { jpeg: true, dpi: jfif ?? exif };
}

const ascii = (view, at, length) => String.fromCharCode(...new Uint8Array(view.buffer, at, length));

function ofJfif(view, at) {
  const inches = { 1: 1, 2: 2.54 }[view.getUint8(at + 7)];
  const found = [view.getUint16(at + 8), view.getUint16(at + 10)];
  return inches && found[0] && found[1] ? found.map((dots) => dots * inches) : null;
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
    const inches = { 2: 1, 3: 2.54 }[found.unit];
    return inches && found[0x11a] && found[0x11b] ? [found[0x11a] * inches, found[0x11b] * inches] : null;
  } catch {
    return null; // damaged: it says nothing
  }
}

// [tone, sentence, whether a doubt is worth curing]
function judge(file, { jpeg, dpi }, picture, { limit, least, most }) {
  const findings = [];
  if (!picture) return [["bad", "图片无法打开，请重新扫描为 JPG 格式"]];
  findings.push(jpeg ? ["good", "JPG 图片，能完整打开"] : ["bad", "不是 JPG 图片"]);
  findings.push(file.size < limit ? ["good", `${kb(file.size)}，小于 ${kb(limit)}`] : ["bad", `${kb(file.size)}，须小于 ${kb(limit)}`]);
  if (!dpi) findings.push(["warn", "没有注明分辨率", true]);
  else if (Math.round(dpi[0]) !== Math.round(dpi[1])) findings.push(["bad", `横向 ${Math.round(dpi[0])} dpi、纵向 ${Math.round(dpi[1])} dpi，比例不是 1:1`]);
  else if (Math.round(dpi[0]) < least || Math.round(dpi[0]) > most) findings.push(["bad", `${Math.round(dpi[0])} dpi，须为 ${least}~${most} dpi`]);
  else findings.push(["good", `${Math.round(dpi[0])} dpi，横纵一致`]);
  findings.push(["good", `${picture.width}×${picture.height} 像素`]);
  return findings;
}

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

function draw(canvas, picture, across, down = across) {
  canvas.width = Math.round(picture.width * across);
  canvas.height = Math.round(picture.height * down);
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
}

// The same paper at an allowed density, in a file that is small enough: { blob, dpi }, or null.
async function cure(picture, { dpi }, { limit, least, most }) {
  const said = dpi ?? Array(2).fill(Math.max(picture.width, picture.height) / A4_INCHES);
  const sharpest = Math.min(most, Math.max(least, Math.round(Math.min(...said))));
  for (const wanted of new Set([sharpest, Math.min(sharpest, 85), least])) {
    const canvas = document.createElement("canvas");
    draw(canvas, picture, wanted / said[0], wanted / said[1]);
    for (const quality of QUALITIES) {
      const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
      if (blob && blob.size + 18 < limit) return { blob: await withDensity(blob, wanted), dpi: wanted };
    }
  }
  return null;
}

// A JPEG whose JFIF header says its density; a header is put in where there is none.
async function withDensity(blob, dpi) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const header = new Uint8Array([0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 1, dpi >> 8, dpi & 255, dpi >> 8, dpi & 255, 0, 0]);
  const old = bytes[2] === 0xff && bytes[3] === 0xe0 ? 4 + ((bytes[4] << 8) | bytes[5]) : 2;
  return new Blob([bytes.subarray(0, 2), header, bytes.subarray(old)], { type: "image/jpeg" });
}

async function offer(input, doctor, cured, wanted) {
  const place = doctor.querySelector(".cure");
  place.hidden = !wanted;
  if (!wanted) return;
  if (!cured) {
    place.textContent = "图片无法自动处理，请按要求重新扫描。";
    return;
  }
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = `处理为 ${kb(cured.blob.size)}、${cured.dpi} dpi 并上传`;
  button.addEventListener("click", () => {
    const files = new DataTransfer();
    files.items.add(new File([cured.blob], "scan.jpg", { type: "image/jpeg" }));
    input.files = files.files;
    input.form.requestSubmit(input.form.querySelector("[formaction$='/attachment']"));
  });
  place.replaceChildren(button);
  draw(doctor.querySelector("canvas"), await createImageBitmap(cured.blob), 1);
}
