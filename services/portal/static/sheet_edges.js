// Straight edges in a small photo: the lines that may be sides of a sheet.

// Details of up to 8 pixels across (text, thin frames, patterns) are removed: steps by which a window of 9 pixels, and one
// of 17, is reached.
const SPECK = [1, 2, 4, 1];
const TWICE = [1, 2, 4, 8, 1];
const LEAST = 0.35; // the weakest gradient of an edge, in levels of `planesOf`
const ANGLES = 180;
const TURN = Math.PI / ANGLES;
const COS = Float64Array.from({ length: ANGLES }, (_, angle) => Math.cos(angle * TURN));
const SIN = Float64Array.from({ length: ANGLES }, (_, angle) => Math.sin(angle * TURN));
const STEP = 1.5; // pixels of a step of a line's distance from the origin
const SPREAD = 2; // steps by which the direction of an edge's pixel may be off
const REACH = 3; // pixels from a line within which edges belong to it
const FEWEST = 12; // pixels of a line
const CALM = [3, 6, 10, 15, 20]; // distances from its sides at which a sheet has no edges

// Three planes (brightness, two of colour), on a scale on which noise is about equal in light and in shade: 0 to 256.
export function planesOf({ data, width, height }) {
  const scale = Float32Array.from({ length: 256 }, (_, level) => 16 * Math.sqrt(level));
  const planes = [0, 1, 2].map(() => new Float32Array(width * height));
  for (let at = 0; at < width * height; at++) {
    const red = scale[data[4 * at]];
    const green = scale[data[4 * at + 1]];
    const blue = scale[data[4 * at + 2]];
    planes[0][at] = (red + 2 * green + blue) / 4;
    planes[1][at] = red - green;
    planes[2][at] = (red + green) / 2 - blue;
  }
  return planes;
}

// The image without small dark details (closing) and small light ones (opening).
export function withoutDetails({ data, width, height }) {
  const made = new Uint8ClampedArray(data.length);
  const plane = new Uint8Array(width * height);
  for (let channel = 0; channel < 3; channel++) {
    for (let at = 0; at < plane.length; at++) plane[at] = data[4 * at + channel];
    spread(plane, width, height, 0, SPECK);
    spread(plane, width, height, 255, TWICE);
    spread(plane, width, height, 0, SPECK);
    for (let at = 0; at < plane.length; at++) made[4 * at + channel] = plane[at];
  }
  return { data: made, width, height };
}

// Replaces each value by the highest one in a window around it; with `invert` 255 by the lowest one.
function spread(plane, width, height, invert, reaches) {
  const room = reaches.reduce((sum, reach) => sum + reach);
  const across = width + room;
  const padded = new Uint8Array(across * (height + room));
  const start = (room / 2) * (across + 1);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) padded[start + y * across + x] = plane[y * width + x] ^ invert;
  for (const step of [1, across]) for (const reach of reaches) raise(padded, reach * step);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) plane[y * width + x] = padded[y * across + x] ^ invert;
}

function raise(values, step) {
  for (let at = 0; at < values.length - step; at++) {
    const less = values[at] - values[at + step];
    values[at] -= less & (less >> 31); // the higher one, without a branch
  }
}

// The gradient of the plane in which it is steepest, and the size from which it is an edge.
export function gradientsOf(planes, width, height) {
  const [across, down, steep] = [0, 1, 2].map(() => new Float32Array(width * height));
  for (const plane of planes) {
    for (let y = 1; y < height - 1; y++) {
      for (let x = 1, at = y * width + 1; x < width - 1; x++, at++) {
        const diagonal = plane[at + width + 1] - plane[at - width - 1];
        const other = plane[at - width + 1] - plane[at + width - 1];
        const gx = (2 * (plane[at + 1] - plane[at - 1]) + diagonal + other) / 8;
        const gy = (2 * (plane[at + width] - plane[at - width]) + diagonal - other) / 8;
        const size = gx * gx + gy * gy;
        if (size <= steep[at]) continue;
        steep[at] = size;
        across[at] = gx;
        down[at] = gy;
      }
    }
  }
  for (let at = 0; at < steep.length; at++) steep[at] = Math.sqrt(steep[at]);
  return { across, down, steep, width, height, weak: Math.max(LEAST, 2 * median(steep)) };
}

export function median(values) {
  const skip = Math.ceil(values.length / 4000);
  const sample = Float32Array.from({ length: Math.floor(values.length / skip) }, (_, n) => values[n * skip]).sort();
  return sample.length ? sample[sample.length >> 1] : 0;
}

export const ramp = (value, low, high) => Math.min(1, Math.max(0, (value - low) / (high - low)));

// Whether there are no edges in this direction from a point: 0 to 1.
export function calmAt({ steep, width, height, weak }, x, y, across, down) {
  let most = 0;
  for (const off of CALM) {
    const column = Math.round(x + off * across);
    const line = Math.round(y + off * down);
    if (column >= 0 && line >= 0 && column < width && line < height) most = Math.max(most, steep[line * width + column]);
  }
  return 1 - ramp(most, weak, 4 * weak);
}

// { angle, rho }: x cos(angle) + y sin(angle) = rho.
export const lineOf = (angle, rho) => ({ angle, rho, cos: Math.cos(angle), sin: Math.sin(angle) });

// The longest straight edges (Hough). Edges beside a calm area count more. Pixels of a line that is found don't vote for
// others. `plain`: the gradients without details.
export function linesIn(map, plain, count) {
  const pixels = crestsOf(map, plain);
  const zero = Math.ceil(Math.hypot(map.width, map.height) / STEP) + 1;
  const votes = { zero, steps: 2 * zero + 1, cells: new Float32Array(ANGLES * (2 * zero + 1)) };
  for (const pixel of pixels) vote(votes, pixel, pixel.weight);
  const found = [];
  while (found.length < count) {
    const best = highest(votes.cells);
    if (votes.cells[best] < FEWEST) break;
    const line = lineOf(Math.floor(best / votes.steps) * TURN, ((best % votes.steps) - zero) * STEP);
    found.push(claimed(line, pixels, votes));
  }
  return found;
}

// The pixels at which the gradient is steepest on the way across an edge.
function crestsOf({ across, down, steep, width, height, weak }, plain) {
  const pixels = [];
  for (let y = 2; y < height - 2; y++) {
    for (let x = 2, at = y * width + 2; x < width - 2; x++, at++) {
      const size = steep[at];
      if (size < weak) continue;
      const [gx, gy] = [across[at] / size, down[at] / size];
      const next = Math.round(gx) + width * Math.round(gy);
      if (size < steep[at + next] || size <= steep[at - next]) continue;
      const calm = Math.max(calmAt(plain, x, y, gx, gy), calmAt(plain, x, y, -gx, -gy));
      const weight = Math.min(1, size / (4 * weak)) * (0.1 + 0.9 * calm);
      pixels.push({ x, y, angle: Math.round(Math.atan2(gy, gx) / TURN), weight, used: false });
    }
  }
  return pixels;
}

function vote({ cells, steps, zero }, { x, y, angle }, weight) {
  for (let off = -SPREAD; off <= SPREAD; off++) {
    const turned = (angle + off + 2 * ANGLES) % ANGLES;
    const distance = (x * COS[turned] + y * SIN[turned]) / STEP + zero;
    const low = Math.floor(distance);
    cells[turned * steps + low] += weight * (low + 1 - distance);
    cells[turned * steps + low + 1] += weight * (distance - low);
  }
}

function highest(cells) {
  let best = 0;
  for (let at = 1; at < cells.length; at++) if (cells[at] > cells[best]) best = at;
  return best;
}

// The line fitted to its pixels, whose votes are withdrawn.
function claimed(line, pixels, votes) {
  const own = pixels.filter((pixel) => !pixel.used && isOf(line, pixel));
  for (const pixel of own) {
    vote(votes, pixel, -pixel.weight);
    pixel.used = true;
  }
  return own.length > FEWEST ? fitted(own) : line;
}

function isOf({ angle, rho, cos, sin }, pixel) {
  if (Math.abs(pixel.x * cos + pixel.y * sin - rho) >= REACH) return false;
  return Math.abs(Math.sin(angle - pixel.angle * TURN)) < Math.sin((2 * SPREAD + 1) * TURN);
}

// The line through weighted points { x, y, weight } that minimises the squared distances.
export function fitted(points) {
  let [sum, mx, my, xx, yy, xy] = [0, 0, 0, 0, 0, 0];
  for (const { x, y, weight } of points) {
    sum += weight;
    mx += weight * x;
    my += weight * y;
  }
  [mx, my] = [mx / sum, my / sum];
  for (const { x, y, weight } of points) {
    xx += weight * (x - mx) ** 2;
    yy += weight * (y - my) ** 2;
    xy += weight * (x - mx) * (y - my);
  }
  const angle = (Math.atan2(2 * xy, xx - yy) / 2 + 1.5 * Math.PI) % Math.PI;
  return lineOf(angle, mx * Math.cos(angle) + my * Math.sin(angle));
}
