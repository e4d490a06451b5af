// Finds the sheet of paper in a photo, straightens and whitens it. Images are { data, width, height } in RGBA, as ImageData.
// Runs in a page, in a worker and in Node.js.
import { fitted, gradientsOf, lineOf, linesIn, planesOf, withoutDetails } from "./sheet_edges.js";
import { mapTo, reduced } from "./sheet_pixels.js";
import { areaOf, isRival, quadsOf } from "./sheet_quads.js";
import { measured } from "./sheet_sides.js";

export { whiten } from "./sheet_light.js";
export { straighten } from "./sheet_pixels.js";

const SMALL = 480; // pixels of the long side of the copy that is searched
const LINES = 26; // candidates per map of gradients
const CERTAIN = { contrast: 0.4, leastContrast: 0.2, sharp: 0.6, leastSharp: 0.4, tone: 0.8, overrun: -1, margin: 3.3, one: -4 };
const RIVAL = 0.012; // share of the photo's sides by which the corners of another candidate differ
const BEYOND = 2; // sides outside of the photo with which a sheet is never certain
const FILLED = 0.88; // the sides of such a sheet, as share of the photo's, from which it is taken to fill the photo
const PALE = 0.15; // contrast of a side with which a sheet is never certain
const DOUBT = 0.4;
const POINTS = 64; // of a side, at which its place is measured in the photo itself
const NEAR = 2.5; // pixels of the small copy by which it may be off
const FOCAL = 0.78; // focal length of a phone's camera, in long sides of the photo
const LEAN = 0.06; // perspective from which the focal length can be computed
const A4 = [297, 210];
const PAPERS = [{ name: "A4", long: A4[0], short: A4[1] }, { name: "card", long: 85.6, short: 53.98 }]; // ISO 216, ISO/IEC 7810 ID-1
const SNAP = 1.06; // a ratio that differs by less is taken for that of the size

// { corners: from the sheet's top left as seen in the photo, clockwise, in pixels (some may be outside of the photo),
// confidence: 0 to 1, below 0.5 the corners have to be confirmed }.
export function findSheet(image) {
  const small = reduced(image, SMALL);
  const found = candidatesIn(small);
  const confidence = confidenceOf(found, small);
  const { borders, area } = found[0].features;
  if (borders * 4 >= BEYOND && area > FILLED) return { corners: cornersOf(image), confidence };
  const scale = [image.width / small.width, image.height / small.height];
  const corners = found[0].corners.map(([x, y]) => [(x + 0.5) * scale[0], (y + 0.5) * scale[1]]);
  return { corners: ordered(refined(image, corners, found[0].bounds, scale[0])), confidence };
}

function candidatesIn(small) {
  const plain = withoutDetails(small);
  const planes = planesOf(plain);
  const maps = [planes, planesOf(small)].map((each) => gradientsOf(each, small.width, small.height));
  const found = maps.flatMap((map) => linesIn(map, maps[0], LINES)).map((line) => measured(line, maps, planes));
  return quadsOf([...found, ...bordersOf(small)], small);
}

const cornersOf = ({ width, height }) => [[0, 0], [width, 0], [width, height], [0, height]];

function bordersOf({ width, height }) {
  const lines = [lineOf(0, -0.5), lineOf(0, width - 0.5), lineOf(Math.PI / 2, -0.5), lineOf(Math.PI / 2, height - 0.5)];
  return lines.map((line) => ({ ...line, border: true }));
}

function confidenceOf([best, ...others], photo) {
  const rival = others.find((each) => isRival(best, each, RIVAL * (photo.width + photo.height)));
  const features = { ...best.features, margin: rival ? Math.min(2, best.score - rival.score) : 2, one: 1 };
  const sum = Object.keys(CERTAIN).reduce((total, name) => total + CERTAIN[name] * features[name], 0);
  const confidence = 1 / (1 + Math.exp(-sum));
  const doubtful = best.features.borders * 4 >= BEYOND || best.features.leastContrast < PALE;
  return doubtful ? Math.min(DOUBT, confidence) : confidence;
}

// Clockwise from the top left.
export function ordered(corners) {
  const clockwise = areaOf(corners) > 0 ? corners : [...corners].reverse();
  const first = clockwise.reduce((best, [x, y], n) => (x + y < clockwise[best][0] + clockwise[best][1] ? n : best), 0);
  return [0, 1, 2, 3].map((n) => clockwise[(first + n) % 4]);
}

// The corners where the edges cross that are measured in the photo itself. Side n is before corner n.
function refined(image, corners, lines, scale) {
  const sides = corners.map((to, n) => {
    const from = corners[(n + 3) % 4];
    return lines[n].border ? through(from, to) : edgeNear(image, from, to, scale);
  });
  return corners.map((corner, n) => {
    const [one, other] = [sides[n], sides[(n + 1) % 4]];
    const turn = one.cos * other.sin - one.sin * other.cos;
    const better = [(one.rho * other.sin - other.rho * one.sin) / turn, (other.rho * one.cos - one.rho * other.cos) / turn];
    return Math.hypot(better[0] - corner[0], better[1] - corner[1]) < 2 * NEAR * scale ? better : corner;
  });
}

function through([x, y], [toX, toY]) {
  const angle = Math.atan2(toX - x, y - toY);
  return lineOf(angle, x * Math.cos(angle) + y * Math.sin(angle));
}

// The line along the steepest step near the way between two points; points that deviate from it count less and less.
function edgeNear(image, from, to, scale) {
  const points = [];
  for (let n = 0; n < POINTS; n++) {
    const point = stepNear(image, from, to, 0.04 + (0.92 * n) / (POINTS - 1), scale);
    if (point) points.push(point);
  }
  let line = through(from, to);
  for (const room of [NEAR * scale, NEAR * scale, NEAR * scale * 0.5, NEAR * scale * 0.3]) {
    const off = ({ x, y }) => (x * line.cos + y * line.sin - line.rho) / room;
    const weighted = points.map((point) => ({ ...point, weight: point.size * Math.max(0, 1 - off(point) ** 2) ** 2 }));
    const near = weighted.filter(({ weight }) => weight > 0);
    if (near.length < POINTS / 4) break;
    line = fitted(near);
  }
  return line;
}

// The steepest step of the colour on the way across a side: { x, y, size }, or null outside of the image.
function stepNear(image, [fromX, fromY], [toX, toY], share, scale) {
  const long = Math.hypot(toX - fromX, toY - fromY);
  const [acrossX, acrossY] = [(toY - fromY) / long, (fromX - toX) / long];
  const [x, y] = [fromX + share * (toX - fromX), fromY + share * (toY - fromY)];
  const reach = Math.ceil(NEAR * scale);
  const half = Math.max(1, Math.round(scale / 2));
  const profile = [];
  for (let off = -reach - half; off <= reach + half; off++) profile.push(colourAt(image, x + off * acrossX, y + off * acrossY));
  if (profile.includes(null)) return null;
  const sizes = profile.slice(2 * half).map((colour, n) => Math.hypot(...colour.map((value, each) => value - profile[n][each])));
  const best = sizes.indexOf(Math.max(...sizes));
  return { x: x + (best - reach) * acrossX, y: y + (best - reach) * acrossY, size: sizes[best] };
}

function colourAt({ data, width, height }, x, y) {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (column < 0 || row < 0 || column >= width || row >= height) return null;
  const at = 4 * (row * width + column);
  return [16 * Math.sqrt(data[at]), 16 * Math.sqrt(data[at + 1]), 16 * Math.sqrt(data[at + 2])];
}

// The size of the sheet in mm, { width, height, paper }: A4 or a card if its shape is about theirs, otherwise (`paper` is
// null) the largest of its shape that fits on A4. The shape is computed from the perspective (Zhang and He, "Whiteboard
// scanning and image enhancement", 2007); a sheet seen from above has too little of it, then a common camera is assumed.
export function sheetSize(corners, image) {
  const ratio = ratioOf(corners, image);
  const shape = Math.max(ratio, 1 / ratio);
  const paper = PAPERS.find(({ long, short }) => Math.max((shape * short) / long, long / shape / short) < SNAP);
  const [long, short] = paper ? [paper.long, paper.short] : fit(shape);
  return { width: ratio > 1 ? long : short, height: ratio > 1 ? short : long, paper: paper?.name ?? null };
}

const fit = (shape) => (shape > A4[0] / A4[1] ? [A4[0], A4[0] / shape] : [A4[1] * shape, A4[1]]);

function ratioOf(corners, { width, height }) {
  const [a, b, , d, e, , g, h] = mapTo(corners.map(([x, y]) => [x - width / 2, y - height / 2]));
  const usual = FOCAL * Math.max(width, height);
  const computed = Math.sqrt(-(a * b + d * e) / (g * h));
  const focal = Math.min(Math.abs(g), Math.abs(h)) > LEAN && computed > 0.6 * usual && computed < 2 * usual ? computed : usual;
  return Math.hypot(a, d, g * focal) / Math.hypot(b, e, h * focal);
}
