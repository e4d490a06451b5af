// Asks sheet_worker.js to find the sheet in a photo, and to make a scan of it. Where module workers are missing, the
// same runs in the page.
import { drawn } from "./picture.js";

const LONGEST = 4096; // pixels on a side: more make the scan no better, and phones run out of memory
let asked = 0;
let worker = null;

const ask = (action, rest, moved = []) =>
  new Promise((done, failed) => {
    const id = ++asked;
    worker ??= new Worker(new URL("./sheet_worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("error", failed, { once: true });
    worker.addEventListener("message", function answered({ data }) {
      if (data.id !== id) return;
      worker.removeEventListener("message", answered);
      data.error ? failed(new Error(data.error)) : done(data);
    });
    worker.postMessage({ id, action, ...rest }, moved);
  });

// { corners, confidence, size }: corners as shares of the photo's width and height, the sheet's size in mm.
export async function findSheet(picture) {
  const scale = Math.min(1, LONGEST / Math.max(picture.naturalWidth, picture.naturalHeight));
  const canvas = drawn(picture, picture.naturalWidth * scale, picture.naturalHeight * scale);
  const image = await createImageBitmap(canvas);
  const photo = { width: image.width, height: image.height };
  const { corners, confidence, size } = await ask("find", { image }, [image]);
  return { photo, confidence, size, corners: corners.map(([x, y]) => [x / photo.width, y / photo.height]) };
}

// The scan of the sheet between these corners, on a canvas of this size.
export async function scanOf({ photo, corners }, width, height) {
  const inPixels = corners.map(([x, y]) => [x * photo.width, y * photo.height]);
  const size = { width: Math.round(width), height: Math.round(height) };
  const { image } = await ask("scan", { corners: inPixels, ...size });
  const canvas = Object.assign(document.createElement("canvas"), size);
  canvas.getContext("2d").putImageData(new ImageData(image.data, image.width, image.height), 0, 0);
  return canvas;
}

// The size in mm of the sheet between the corners, as a person has set them.
export async function sizeOf({ photo, corners }) {
  const { sheetSize } = await import("./sheet.js");
  return sheetSize(corners.map(([x, y]) => [x * photo.width, y * photo.height]), photo);
}
