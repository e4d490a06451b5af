// Runs sheet.js in a worker (type: "module"). In: { id, action, … }; out: { id, … } or { id, error }.
// "find", with `image` (an ImageBitmap, or { data, width, height }), which is kept → { corners, confidence, size }.
// "scan", with `corners`, and `width` and `height` in pixels → { image: { data, width, height } }, of the image kept.
import { findSheet, sheetSize, straighten, whiten } from "./sheet.js";

let photo = null;

const ACTIONS = {
  find({ image }) {
    photo = pixelsOf(image);
    const found = findSheet(photo);
    return { ...found, size: sheetSize(found.corners, photo) };
  },
  scan: ({ corners, width, height }) => ({ image: whiten(straighten(photo, corners, width, height)) }),
};

self.addEventListener("message", ({ data: { id, action, ...rest } }) => {
  try {
    const made = ACTIONS[action](rest);
    self.postMessage({ id, ...made }, made.image ? [made.image.data.buffer] : []);
  } catch (error) {
    self.postMessage({ id, error: String(error) });
  }
});

function pixelsOf(image) {
  if (image.data) return image;
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  image.close();
  return context.getImageData(0, 0, context.canvas.width, context.canvas.height);
}
