// Images as { data, width, height } in RGBA: reduced, straightened.

const ENOUGH = 4; // across and down: pixels of which a mean is taken

// A copy with a long side of at most `longest` pixels, each the mean of the pixels it replaces, or of some
// of them if these are many.
export function reduced(image, longest) {
  const scale = Math.min(1, longest / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  const made = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    const rows = [Math.floor((y * image.height) / height), Math.floor(((y + 1) * image.height) / height)];
    for (let x = 0; x < width; x++) {
      const columns = [Math.floor((x * image.width) / width), Math.floor(((x + 1) * image.width) / width)];
      average(image, columns, rows, made, 4 * (y * width + x));
    }
  }
  return { data: made, width, height };
}

function average({ data, width }, [left, right], [top, bottom], made, to) {
  const step = Math.max(1, Math.floor((right - left) / ENOUGH));
  let [red, green, blue, count] = [0, 0, 0, 0];
  for (let y = top; y < bottom; y += step) {
    for (let x = left; x < right; x += step, count++) {
      const at = 4 * (y * width + x);
      red += data[at];
      green += data[at + 1];
      blue += data[at + 2];
    }
  }
  made[to] = red / count;
  made[to + 1] = green / count;
  made[to + 2] = blue / count;
  made[to + 3] = 255;
}

// The quadrilateral (corners from the top left, clockwise) as a rectangle of this size; white outside of the image. The
// image is reduced first as far as the result has fewer pixels.
export function straighten(image, corners, width, height) {
  const [[left, top], [right, upper], [farRight, bottom], [farLeft, lower]] = corners;
  const across = Math.max(Math.hypot(right - left, upper - top), Math.hypot(farRight - farLeft, bottom - lower)) / width;
  const down = Math.max(Math.hypot(farLeft - left, lower - top), Math.hypot(farRight - right, bottom - upper)) / height;
  const times = Math.max(1, Math.floor(Math.min(across, down) + 0.25));
  const smaller = times > 1 ? reduced(image, Math.max(image.width, image.height) / times) : image;
  const scale = [smaller.width / image.width, smaller.height / image.height];
  return warped(smaller, mapTo(corners.map(([x, y]) => [x * scale[0], y * scale[1]])), width, height);
}

// The perspective map from the unit square to the corners: [x, y] = [(a u + b v + c) / (g u + h v + 1), …].
export function mapTo([[x0, y0], [x1, y1], [x2, y2], [x3, y3]]) {
  const [dx1, dx2, dx3] = [x1 - x2, x3 - x2, x0 - x1 + x2 - x3];
  const [dy1, dy2, dy3] = [y1 - y2, y3 - y2, y0 - y1 + y2 - y3];
  const whole = dx1 * dy2 - dx2 * dy1;
  const g = (dx3 * dy2 - dx2 * dy3) / whole;
  const h = (dx1 * dy3 - dx3 * dy1) / whole;
  return [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h];
}

function warped(image, [a, b, c, d, e, f, g, h], width, height) {
  const made = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, to = 0; y < height; y++) {
    const v = (y + 0.5) / height;
    for (let x = 0; x < width; x++, to += 4) {
      const u = (x + 0.5) / width;
      const over = g * u + h * v + 1;
      interpolate(image, (a * u + b * v + c) / over - 0.5, (d * u + e * v + f) / over - 0.5, made, to);
    }
  }
  return { data: made, width, height };
}

function interpolate({ data, width, height }, x, y, made, to) {
  made[to + 3] = 255;
  if (x < -1 || y < -1 || x > width || y > height) return void made.fill(255, to, to + 3);
  const left = Math.min(width - 2, Math.max(0, Math.floor(x)));
  const top = Math.min(height - 2, Math.max(0, Math.floor(y)));
  const across = Math.min(1, Math.max(0, x - left));
  const down = Math.min(1, Math.max(0, y - top));
  const at = 4 * (top * width + left);
  for (let n = at; n < at + 3; n++) {
    const upper = data[n] + (data[n + 4] - data[n]) * across;
    const lower = data[n + 4 * width] + (data[n + 4 * width + 4] - data[n + 4 * width]) * across;
    made[to + n - at] = upper + (lower - upper) * down;
  }
}
