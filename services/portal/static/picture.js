// An image chosen as a file: decoded, scaled down, saved as JPEG.
const MAX_PIXELS = 16_000_000; // limit of a canvas in Safari on a phone

// An <img> applies the EXIF orientation in every browser. The content security policy allows data: URLs, not blob:.
export const addressOf = (blob) =>
  new Promise((done) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result));
    reader.readAsDataURL(blob);
  });

// The decoded image. Rejects if the browser can't decode it.
export async function opened(file) {
  const picture = new Image();
  picture.src = await addressOf(file);
  await picture.decode();
  return picture;
}

// The image on a canvas of this size. It is halved step by step: some browsers skip pixels in one large step.
export function drawn(picture, width, height, canvas = document.createElement("canvas")) {
  let times = 1;
  while (2 * times * width < picture.naturalWidth && 4 * times * times * width * height < MAX_PIXELS) times *= 2;
  let from = picture;
  for (; times > 1; times /= 2) from = copied(from, width * times, height * times, document.createElement("canvas"));
  return copied(from, width, height, canvas);
}

function copied(from, width, height, canvas) {
  canvas.width = Math.round(width);
  canvas.height = Math.round(height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // background of transparent images
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(from, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// The canvas as JPEG of at most `most` bytes, in the first of the qualities that fits; or null.
export async function jpegOf(canvas, qualities, most) {
  for (const quality of qualities) {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
    if (blob && blob.size <= most) return blob;
  }
  return null;
}

// Put a file into the input, as if it was chosen.
export function choose(input, blob, name) {
  const files = new DataTransfer();
  files.items.add(new File([blob], name, { type: "image/jpeg" }));
  input.files = files.files;
}
