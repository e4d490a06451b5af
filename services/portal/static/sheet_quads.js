// Quadrilaterals of four lines, scored by what is seen along their sides. The weights were fitted to generated photos
// (tests/support/desk_photos.py), not to those with which the finder is tested.
import { CALM_HIGH, CALM_LOW, CONTRAST, EDGE, LIGHTER, MEASURES, SEEN, SHARP, positionOf } from "./sheet_sides.js";

const OUTSIDE = 0.12; // share of the photo's side by which a corner may be outside of it
const SMALLEST = 0.1; // share of the photo that a sheet covers at least
const PARALLEL = 0.6; // opposite sides differ by less than this angle
const APART = 0.15; // their distance, as share of the photo's shorter side
const SQUARE = 0.75; // sine of the least angle between adjacent sides
const FAINT = 0.2; // the least mean edge of a side
const BEST = 40;
const SAME = 0.008; // share of the photo's sides within which the corners of two quadrilaterals coincide
// A side that is the photo's border.
const BORDER = { edge: 0.5, contrast: 0.5, sharp: 0.5, lighter: 0.5, low: 0.7, high: 0.7, overrun: 0 };
const NOTHING = {
  edge: 0, leastEdge: 1, contrast: 0, leastContrast: 1, sharp: 0, leastSharp: 1, calm: 0, leastCalm: 1, overrun: 0, tone: -1,
  area: 0, borders: 0, outside: 0,
};
const WEIGHTS = {
  edge: 2.9, leastEdge: 1.8, contrast: 3.4, leastContrast: 3.2, sharp: 2.1, leastSharp: 2.2, calm: 2.1, leastCalm: 0.5,
  overrun: -2.9, tone: 1.4, area: 3.6, borders: 0.9, outside: -0.5,
};

// The best quadrilaterals { corners, bounds, features, score }, best first.
export function quadsOf(lines, photo) {
  const crossings = lines.map((one) => lines.map((other) => crossing(one, other, photo)));
  const pairs = pairsOf(lines, photo).map((pair) => sidesOf(pair, lines, crossings));
  const best = [];
  for (let p = 0; p < pairs.length; p++) {
    for (let q = p + 1; q < pairs.length; q++) {
      if (Math.abs(Math.sin(pairs[p].angle - pairs[q].angle)) > SQUARE) consider(best, pairs[p], pairs[q], lines, crossings, photo);
    }
  }
  return best;
}

// The pair with the part of each other line that is between its two, or null if there is no edge.
function sidesOf(pair, lines, crossings) {
  const sides = lines.map((line, n) => {
    const ends = pair.numbers.map((each) => crossings[n][each]);
    const side = ends[0] && ends[1] && sideOf(line, ...ends);
    return side && side.edge > FAINT ? side : null;
  });
  return { ...pair, sides };
}

function consider(best, one, other, lines, crossings, photo) {
  const [a, b] = one.numbers;
  const [c, d] = other.numbers;
  if (!other.sides[a] || !other.sides[b] || !one.sides[c] || !one.sides[d]) return;
  const corners = [crossings[a][c], crossings[c][b], crossings[b][d], crossings[d][a]];
  if (!isPlausible(corners, photo)) return;
  const sides = [other.sides[a], one.sides[c], other.sides[b], one.sides[d]];
  insert(best, quadOf([lines[a], lines[c], lines[b], lines[d]], sides, corners, photo), photo);
}

// Where two lines cross, or null if it is too far outside of the photo.
function crossing(one, other, { width, height }) {
  const turn = one.cos * other.sin - one.sin * other.cos;
  const x = (one.rho * other.sin - other.rho * one.sin) / turn;
  const y = (other.rho * one.cos - one.rho * other.cos) / turn;
  const inside = x > -OUTSIDE * width && y > -OUTSIDE * height && x < (1 + OUTSIDE) * width && y < (1 + OUTSIDE) * height;
  return inside ? [x, y] : null;
}

// Lines that may be opposite sides.
function pairsOf(lines, { width, height }) {
  const pairs = [];
  for (let one = 0; one < lines.length; one++) {
    for (let other = one + 1; other < lines.length; other++) {
      const turn = ((lines[one].angle - lines[other].angle + 2.5 * Math.PI) % Math.PI) - Math.PI / 2;
      if (Math.abs(turn) > PARALLEL) continue;
      const same = Math.sign(Math.cos(lines[one].angle - lines[other].angle));
      const distance = Math.abs(away(lines[one], width / 2, height / 2) - same * away(lines[other], width / 2, height / 2));
      if (distance > APART * Math.min(width, height)) pairs.push({ numbers: [one, other], angle: lines[one].angle - turn / 2 });
    }
  }
  return pairs;
}

const away = ({ cos, sin, rho }, x, y) => x * cos + y * sin - rho;

// The measures of the part of a line between two points on it.
function sideOf(line, one, other) {
  if (line.border) return BORDER;
  const ends = [positionOf(line, ...one), positionOf(line, ...other)].sort((a, b) => a - b);
  const [from, to] = [ends[0] + 2, ends[1] - 1];
  if (seenIn(line, from, to) < 0.5 * (to - from)) return null;
  const part = (measure) => meanOf(line, measure, from, to);
  return {
    edge: part(EDGE), contrast: part(CONTRAST), sharp: part(SHARP), lighter: part(LIGHTER), low: part(CALM_LOW), high: part(CALM_HIGH),
    overrun: beyond(line, ...ends),
  };
}

function seenIn({ sums }, from, to) {
  const [low, high] = [Math.max(0, from), Math.min(sums.length / MEASURES - 1, to)];
  return high > low ? sums[high * MEASURES + SEEN] - sums[low * MEASURES + SEEN] : 0;
}

// The mean of a measure over the pixels between two positions that are inside of the photo.
function meanOf(line, measure, from, to) {
  const seen = seenIn(line, from, to);
  const [low, high] = [Math.max(0, from), Math.min(line.sums.length / MEASURES - 1, to)];
  return seen > 0 ? (line.sums[high * MEASURES + measure] - line.sums[low * MEASURES + measure]) / seen : 0;
}

// Whether the edge continues beyond the corners: then the sheet does, too.
function beyond(line, from, to) {
  const reach = Math.round(Math.max(16, (to - from) / 10));
  return (meanOf(line, EDGE, from - reach, from - 6) + meanOf(line, EDGE, to + 7, to + reach + 1)) / 2;
}

function isPlausible(corners, { width, height }) {
  return Math.abs(areaOf(corners)) > SMALLEST * width * height && isConvex(corners);
}

export function areaOf(corners) {
  let area = 0;
  for (let n = 0; n < corners.length; n++) {
    const [[x, y], [nextX, nextY]] = [corners[n], corners[(n + 1) % corners.length]];
    area += x * nextY - nextX * y;
  }
  return area / 2;
}

function isConvex(corners) {
  let turns = 0;
  for (let n = 0; n < 4; n++) {
    const [a, b, c] = [corners[n], corners[(n + 1) % 4], corners[(n + 2) % 4]];
    const [x, y, nextX, nextY] = [b[0] - a[0], b[1] - a[1], c[0] - b[0], c[1] - b[1]];
    const turn = x * nextY - y * nextX;
    if (turn * turn < 0.25 * (x * x + y * y) * (nextX * nextX + nextY * nextY)) return false; // an angle below 30°
    turns += Math.sign(turn);
  }
  return Math.abs(turns) === 4;
}

function quadOf(lines, sides, corners, photo) {
  const features = { ...NOTHING };
  const [x, y] = [0, 1].map((n) => (corners[0][n] + corners[1][n] + corners[2][n] + corners[3][n]) / 4);
  for (let n = 0; n < 4; n++) {
    const inner = away(lines[n], x, y) > 0; // the sheet is at the line's higher side
    addSide(features, sides[n], inner ? sides[n].high : sides[n].low, inner ? sides[n].lighter : 1 - sides[n].lighter);
    features.borders += lines[n].border ? 1 / 4 : 0;
    features.outside = Math.max(features.outside, outside(corners[n], photo));
  }
  features.tone = Math.abs(features.tone);
  features.area = Math.sqrt(Math.abs(areaOf(corners)) / (photo.width * photo.height));
  return { corners, bounds: lines, features, score: scoreOf(features, WEIGHTS) };
}

function scoreOf(one, weight) {
  const least = weight.leastEdge * one.leastEdge + weight.leastContrast * one.leastContrast + weight.leastSharp * one.leastSharp;
  const means = weight.edge * one.edge + weight.contrast * one.contrast + weight.sharp * one.sharp + weight.calm * one.calm;
  const shape = weight.area * one.area + weight.borders * one.borders + weight.outside * one.outside;
  return least + means + shape + weight.leastCalm * one.leastCalm + weight.overrun * one.overrun + weight.tone * one.tone;
}

function addSide(features, { edge, contrast, sharp, overrun }, calm, lighter) {
  features.edge += edge / 4;
  features.contrast += contrast / 4;
  features.sharp += sharp / 4;
  features.calm += calm / 4;
  features.overrun += overrun / 4;
  features.tone += lighter / 2;
  features.leastEdge = Math.min(features.leastEdge, edge);
  features.leastContrast = Math.min(features.leastContrast, contrast);
  features.leastSharp = Math.min(features.leastSharp, sharp);
  features.leastCalm = Math.min(features.leastCalm, calm);
}

// How far a point is outside of the photo: 1 is as far as a corner may be.
const outside = ([x, y], { width, height }) => Math.max(-x / width, x / width - 1, -y / height, y / height - 1, 0) / OUTSIDE;

// Keeps the best ones; of those that nearly coincide only the best.
function insert(best, quad, photo) {
  if (best.length === BEST && quad.score <= best[BEST - 1].score) return;
  const near = best.findIndex((each) => !isRival(each, quad, SAME * (photo.width + photo.height)));
  if (near >= 0 && best[near].score >= quad.score) return;
  if (near >= 0) best.splice(near, 1);
  const place = best.findIndex((each) => each.score < quad.score);
  best.splice(place < 0 ? best.length : place, 0, quad);
  if (best.length > BEST) best.pop();
}

// Whether a corner of one is further than this from all of the other.
export function isRival(one, other, room) {
  const isFar = (corner, [x, y]) => Math.abs(corner[0] - x) > room || Math.hypot(corner[0] - x, corner[1] - y) > room;
  return one.corners.some((corner) => other.corners.every((each) => isFar(corner, each)));
}
