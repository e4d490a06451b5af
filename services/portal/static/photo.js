// A photo chosen as a file: previewed, and scaled down if it is too large.
import { addressOf, choose, drawn, jpegOf, opened } from "./picture.js";

const MAX_SIDE = 640; // pixels; identity stores no more
const QUALITIES = [0.92, 0.85, 0.75, 0.6];

const input = document.querySelector("input[data-photo]");
const preview = document.querySelector("img.portrait");
const status = input?.parentElement.querySelector("[role=status]");

input?.addEventListener("change", async () => {
  const file = input.files[0];
  status.textContent = "";
  preview.hidden = !file;
  if (!file) return;
  const limit = +input.dataset.photo;
  const photo = await opened(file).catch(() => null);
  if (!photo) {
    preview.hidden = true;
    status.textContent = "图片无法打开，请选择 JPG 格式的照片。";
    return;
  }
  const small = file.type === "image/jpeg" && file.size <= limit ? file : await smaller(photo, limit);
  preview.src = await addressOf(small);
  if (small === file) return;
  choose(input, small, "photo.jpg");
  status.textContent = `照片已缩小为 ${Math.ceil(small.size / 1024)} KB，请核对是否清晰。`;
});

async function smaller(photo, limit) {
  const scale = Math.min(1, MAX_SIDE / Math.max(photo.naturalWidth, photo.naturalHeight));
  const canvas = drawn(photo, photo.naturalWidth * scale, photo.naturalHeight * scale);
  return (await jpegOf(canvas, QUALITIES, limit)) ?? jpegOf(canvas, QUALITIES.slice(-1), Infinity);
}
