// A picture that was chosen as a file: opened, made smaller, saved as JPEG.
const MOST_PIXELS = 16_000_000; // of a canvas in Safari on a phone

// What an <img> shows is upright as EXIF says in every browser. The pages' policy lets it show data:, not blob:.
export const addressOf = (blob) =>
  new Promise((done) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result));
    reader.readAsDataURL(blob);
  });

// The picture; fails when the browser can't decode it.
export async function opened(file) {
  const picture = new Image();
  picture.src = await addressOf(file);
  await picture.decode();
  return picture;
}

// The picture on a canvas of this size. It is halved step by step: some browsers leave out pixels in one long step.
export function drawn(picture, width, height, canvas = document.createElement("canvas")) {
  let times = 1;
  while (2 * times * width < picture.naturalWidth && 4 * times * times * width * height < MOST_PIXELS) times *= 2;
  let from = picture;
  for (; times > 1; times /= 2) from = copied(from, width * times, height * times, document.createElement("canvas"));
  return copied(from, width, height, canvas);
}

function copied(from, width, height, canvas) {
  canvas.width = Math.round(width);
  canvas.height = Math.round(height);
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // beneath what is transparent
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(from, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// The best JPEG of the canvas with no more bytes than that: the first of the qualities that fits, or null.
export async function jpegOf(canvas, qualities, most) {
  for (const quality of qualities) {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
    if (blob && blob.size <= most) return blob;
  }
  return null;
}

// As if the person had chosen this file.
export function choose(input, blob, name) {
  const files = new DataTransfer();
  files.items.add(new File([blob], name, { type: "image/jpeg" }));
  input.files = files.files;
}
