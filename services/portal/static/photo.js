// A photo that is chosen as a file: shown before it is sent, and made smaller where it is too large for its place.
const LONGEST = 640; // pixels: identity keeps no more
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
  const photo = new Image();
  photo.src = await addressOf(file);
  try {
    await photo.decode();
  } catch {
    preview.hidden = true;
    status.textContent = "图片无法打开，请选择 JPG 格式的照片。";
    return;
  }
  const small = file.type === "image/jpeg" && file.size <= limit ? file : await smaller(photo, limit);
  preview.src = await addressOf(small);
  if (small === file) return;
  const files = new DataTransfer();
  files.items.add(new File([small], "photo.jpg", { type: "image/jpeg" }));
  input.files = files.files;
  status.textContent = `照片已缩小为 ${Math.ceil(small.size / 1024)} KB，请核对是否清晰。`;
});

const addressOf = (blob) =>
  new Promise((done) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result));
    reader.readAsDataURL(blob);
  });

async function smaller(photo, limit) {
  const canvas = document.createElement("canvas");
  const scale = Math.min(1, LONGEST / Math.max(photo.naturalWidth, photo.naturalHeight));
  canvas.width = Math.round(photo.naturalWidth * scale);
  canvas.height = Math.round(photo.naturalHeight * scale);
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
  let blob = null;
  for (const quality of QUALITIES) {
    blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
    if (blob.size <= limit) break;
  }
  return blob;
}
